// Package demo tells the story of VPNFilter in May 2018 with five member nodes
// in one process: real keys, real stores, real connections over loopback. What it
// prints as a fact it has looked up in the nodes' stores or asked their API in
// this run; what is not so makes it fail.
//
// The indicators are those that Cisco Talos published; the members, their routine
// indicators and their remarks are invented.
package demo
