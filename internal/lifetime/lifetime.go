// Package lifetime says until when what an object says of a value holds: by what
// its author says, by the house rules, and by who met the value since. It is a
// function: no clock, no I/O.
//
// # From when
//
// STIX 2.1 gives an indicator valid_from and valid_until (section 4.7) and every
// object modified (section 3.2): a new version is its author's word that it still
// stands by it. An indicator without valid_until has "no constraint on the latest
// time" there. Here it holds for the lifetime that the house rules give its type
// of value, counted from the latest of
//
//   - modified,
//   - valid_from,
//   - last seen, where the author gives it.
//
// None of these counts as later than when the object came here: nobody stays
// young by a date to come.
//
// # Until when
//
// For the lifetime of the type. An author may end it sooner, by valid_until, and
// never later. Each sighting while it holds renews half of the lifetime: it holds
// for so long from then on at least, but never past valid_until. What has ended
// is not revived.
package lifetime

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Table is how long what is said of a value holds, by its type, as the house
// rules have it.
type Table protocol.Lifetimes

// Of is how long what an object of a STIX type says of a type of value holds; 0
// is for good. Types of values are those of internal/observable.
func (t Table) Of(object, value string) time.Duration {
	l := protocol.Lifetimes(t)
	seconds := int64(0)
	switch value {
	case "ipv4", "ipv6", "ipv4-net", "ipv6-net":
		seconds = l.Address()
	case "url":
		seconds = l.URL()
	case "domain":
		seconds = l.Domain()
	case "email":
		seconds = l.Mail()
	case "md5", "sha1", "sha256", "sha512":
		if seconds = l.Hash(); object == "x509-certificate" {
			seconds = l.Certificate()
		}
	}
	return time.Duration(seconds) * time.Second
}

// Since is from when the lifetime of what an object says counts.
func Since(o *store.Object) time.Time {
	s := &o.Summary
	at := max(o.Modified, s.ValidFrom, s.LastSeen)
	if s.Received > 0 && (at == 0 || at > s.Received) {
		at = s.Received
	}
	return time.UnixMilli(at)
}

// Until is when what an object says of a type of value ceases to hold; ends is
// false where it never does. Sightings are when the value was last met, in any
// order.
func (t Table) Until(o *store.Object, value string, sightings ...time.Time) (until time.Time, ends bool) {
	since, length := Since(o), t.Of(o.Type, value)
	author := time.UnixMilli(o.Summary.ValidUntil)
	said := o.Summary.ValidUntil > 0
	if said {
		if own := author.Sub(since); own > 0 && (length == 0 || own < length) {
			length = own
		}
	}
	if length == 0 {
		return author, said
	}
	until = since.Add(length)
	for _, s := range slices.SortedFunc(slices.Values(sightings), time.Time.Compare) {
		if s.Before(since) || s.After(until) {
			continue
		}
		if to := s.Add(length / 2); to.After(until) {
			until = to
		}
	}
	if said && author.Before(until) {
		until = author
	}
	return until, true
}
