// Package api is the local HTTP API of a running node, and its client.
//
// It is served over the unix socket in the home folder. Every answer is the
// type that the command line prints with --json: one JSON object with a kind, or
// a line for each of many and a summary. Whoever can open the socket may do
// everything; roles come later.
//
// Texts in answers were written by others, attackers among them. They are
// escaped as JSON wants it and not cleaned: whoever shows them does that.
package api
