// Package store keeps what a node holds: statements, entries and keys (the
// truth), and an index of what the opened payloads say (rebuilt from the truth
// whenever it is missing or disagrees).
//
// Implementations: store/badger for nodes, store/memory for simulations. Both
// pass the suite of store/storetest.
package store

import (
	"context"
	"errors"
	"io"

	"github.com/tipmesh/tipmesh/protocol"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("not found")
	ErrOrder    = errors.New("out of order")    // an entry does not follow its feed's head
	ErrConflict = errors.New("conflict")        // another entry is held at that place, or another payload than the header's
	ErrClosed   = errors.New("store is closed") // after Close
	ErrBroad    = errors.New("too broad")       // a query without tokens, or more words begin with its prefix than are tried
	ErrRebuild  = errors.New("index is being made again")
	ErrDiskFull = errors.New("disk full") // no room for entries; the commit can be made again once there is
)

// Entry is a header and, where held, its payload as carried.
type Entry struct {
	Header  *protocol.Header
	Payload []byte // nil where not held
}

// Feed is what a store holds of one feed.
type Feed struct {
	ID      protocol.FeedID
	Node    protocol.Key
	Head    uint64             // headers 1 to Head are held, without gaps
	HeadID  protocol.EntryID   // the entry at Head
	Kind    protocol.EntryKind // kind of the first entry: tells direct feeds apart
	Missing []Range            // payloads within 1 to Head that are not held though they may be, ascending
	Erased  []Range            // payloads that went for good, ascending; not to be changed
	Bytes   uint64             // payload bytes held
}

// Range is the sequence numbers First to Last, both included.
type Range struct{ First, Last uint64 }

// Commit is a set of changes that become durable together.
type Commit struct {
	Statements []*protocol.Statement
	// Entries extend feeds: each must follow its feed's head (or an entry
	// before it in this commit). An entry already held with the same ID fills
	// in its payload where that was missing and is ignored otherwise.
	Entries []Entry
	// Erase names held entries whose payloads go for good, whether they are held
	// or not: headers stay, Missing does not count them, and what brings such a
	// payload again, or makes it Readable, is passed over. Arrivals keep their
	// places.
	Erase []Place
	// Readable names held payloads that can be opened from now on (or whose
	// payload is in this commit): each becomes an arrival, in this order.
	Readable []Place
	// Settings are small named values: trust list, epochs, addresses. A nil
	// value deletes.
	Settings map[string][]byte
}

// Place is an entry's place.
type Place struct {
	Feed protocol.FeedID
	Seq  uint64
}

// Arrival is one readability event. Numbers are local to a store's incarnation,
// start at 1, have no gaps and become visible only once durable. The zero Place
// stands for an entry that was dropped since.
type Arrival struct {
	Number uint64
	Place  Place
}

// Room is a store that stops taking entries before its disk is full.
type Room interface {
	// Full reports that commits with entries fail with ErrDiskFull now.
	Full() bool
}

// Copier is a store that can be copied while it is in use.
type Copier interface {
	// Copy writes the entries, statements, arrivals and settings as they are at
	// one moment, in a form of the store's own.
	Copy(ctx context.Context, w io.Writer) error
}

// Entries is the truth. All methods are safe for concurrent use.
type Entries interface {
	// Commit makes the changes durable (synced to disk) before it returns, or
	// none of them. Commits that run at the same time share one sync. It gives
	// the number of the last arrival. It fails with ErrOrder, ErrConflict, or
	// ErrNotFound where Readable names a payload that is not held, or Erase an
	// entry. store/badger
	// writes commits beyond one transaction's size in parts: see there.
	Commit(ctx context.Context, c *Commit) (lastArrival uint64, err error)

	// Drop takes away the entries of a feed from a place on: a branch that a cut
	// voids. Arrivals keep their numbers; those of entries that went name the
	// zero Place. Until Drop returns, and after a crash, some of the entries may
	// be left, those before the others; it can be made again. It changes nothing
	// where nothing is held from there on.
	Drop(ctx context.Context, from Place) error

	// Statements calls fn for every statement held, in no particular order.
	Statements(fn func(*protocol.Statement) error) error
	// Feeds gives what is held of every feed, in ascending order.
	Feeds() []Feed
	// Feed gives what is held of one feed; ok is false where nothing is.
	Feed(id protocol.FeedID) (f Feed, ok bool)
	// Entry reads one entry, the payload too where it is held.
	Entry(p Place) (Entry, error)
	// Header reads one header.
	Header(p Place) (*protocol.Header, error)
	// Range calls fn for the entries of a feed from a sequence number on, in
	// order, until fn gives false. Payloads that are not held are nil.
	Range(feed protocol.FeedID, from uint64, fn func(Entry) bool) error

	// Setting reads a named value; ErrNotFound where there is none.
	Setting(name string) ([]byte, error)
	// Settings calls fn for the named values that begin with prefix, by name.
	Settings(prefix string, fn func(name string, value []byte) error) error

	// LastArrival is the number of the newest arrival, 0 where there is none.
	LastArrival() uint64
	// ArrivalOf is the number of the arrival of a place; ok is false where there is
	// none.
	ArrivalOf(p Place) (number uint64, ok bool)
	// Arrivals calls fn for the arrivals after a number, in order, until fn
	// gives false.
	Arrivals(after uint64, fn func(Arrival) bool) error

	// Size is the bytes on disk, roughly.
	Size() uint64
}

// Object is what the index knows of one version of one STIX object in one
// member's name.
type Object struct {
	Member   protocol.MemberID // who shared it
	ID       string            // STIX identifier
	Type     string            // STIX type
	Modified int64             // milliseconds since 1970; the version
	Revoked  bool
	Arrival  uint64  // the entry that holds it
	Ordinal  uint32  // its place in the bundle
	Content  [8]byte // start of the hash of what it says, times left out
	Created  int64
	// Values are the observables it is about. They are not stored with the
	// object but beside it, for look-ups by value.
	Values []Value
	// Refs are the STIX identifiers that it refers to and Words what it can be
	// found by in Search: words of its text, and facets such as "type=report".
	// Like Values they are not given back.
	Refs, Words []string
	// Summary is what an answer shows without opening the payload.
	Summary Summary
}

// Value is a normalised observable.
type Value struct {
	Type string
	Text string
}

// Relation is how a value lies to another.
type Relation string

// Relations.
const (
	RelationContains Relation = "contains" // a network over the address, a domain over the host, a URL whose path is the start of this one's
	RelationWithin   Relation = "within"
)

// Near is a value that contains another or lies within it.
type Near struct {
	Value    Value
	Relation Relation
}

// Query is what Search looks for: objects that have all of Tokens, and a word
// that begins with Prefix where it is set.
type Query struct {
	Tokens []string
	Prefix string // of words; of facets only where it has the "=" itself
	Since  int64  // milliseconds since 1970, by Received; 0: no bound
	Until  int64  // before this; 0: no bound
	Before uint64 // what Search gave as next; 0: from the newest on
	Limit  int
}

// Summary is the part of an object that a look-up answers with.
type Summary struct {
	Says       string `cbor:"1,keyasint,omitempty"`
	Action     string `cbor:"2,keyasint,omitempty"` // block, detect, none
	TLP        string `cbor:"3,keyasint,omitempty"`
	PAP        string `cbor:"4,keyasint,omitempty"`
	Confidence int    `cbor:"5,keyasint"` // 0 to 100; -1 where not said
	ValidFrom  int64  `cbor:"6,keyasint,omitempty"`
	ValidUntil int64  `cbor:"7,keyasint,omitempty"`
	FirstSeen  int64  `cbor:"8,keyasint,omitempty"`
	LastSeen   int64  `cbor:"9,keyasint,omitempty"`
	CreatedBy  string `cbor:"10,keyasint,omitempty"` // STIX identity, where it is not the member's own: a relayed copy
	Partial    bool   `cbor:"11,keyasint,omitempty"` // the pattern asks for more than this value
	Share      string `cbor:"12,keyasint,omitempty"` // the share it came in
	Received   int64  `cbor:"13,keyasint,omitempty"`
	// Audience is the group it was shared with; zero where that is everyone.
	Audience protocol.AudienceID `cbor:"14,keyasint,omitzero"`
}

// IndexBatch is the index of a run of arrivals: everything after the index's
// checkpoint up to and including Checkpoint. After is the checkpoint that it
// follows on: where the index has come to less, nothing is put and Put fails with
// ErrRebuild.
type IndexBatch struct {
	Objects           []Object
	After, Checkpoint uint64
}

// Index answers look-ups. It is not synced: after a power loss it may lag, its
// checkpoint says so, and the caller feeds it again from there. Feeding an
// arrival twice changes nothing. Two contents of one version are two versions;
// of these the later arrival counts as the newer. An index that is damaged while
// it is open is emptied; look-ups fail with ErrRebuild from then on until it has
// come to where it was.
type Index interface {
	// Put adds a batch and moves the checkpoint.
	Put(b *IndexBatch) error
	// Remove takes out the versions that came with the arrivals that the objects
	// name, and no others; the objects have their values. Count does not see it.
	Remove(objects []Object) error
	// Checkpoint is the last arrival that look-ups include.
	Checkpoint() uint64
	// ByValue gives the newest version of every object, of every member, whose
	// newest version is about the value; older versions never answer.
	ByValue(v Value) ([]Object, error)
	// ByID gives the newest version of an object in every member's name.
	ByID(stixID string) ([]Object, error)
	// Versions gives all versions of an object in one member's name, newest
	// first.
	Versions(member protocol.MemberID, stixID string) ([]Object, error)
	// ByRef gives the distinct objects (newest versions) whose short code
	// begins with the prefix of so many bits: see protocol.RefPrefix. At most
	// limit.
	ByRef(prefix []byte, bits, limit int) ([]Object, error)
	// Near gives values that the newest versions of objects are about and that
	// contain v or lie within it, as Contains says, at most limit of each and v
	// itself left out: first those that contain it, the nearest first, then those
	// within it. Of a URL with a very long path the parts between the last ones
	// and the first are left out.
	Near(v Value, limit int) ([]Near, error)
	// Referring gives the newest versions that refer to an object, the newest
	// arrival first, at most limit.
	Referring(stixID string, limit int) ([]Object, error)
	// Search gives newest versions that have all tokens of a query, the newest
	// arrival first. next is the Before of the query for what follows, 0 where
	// nothing does; found may be short of the limit, or beyond it by a few, while
	// more follows.
	Search(q Query) (found []Object, next uint64, err error)
	// Count is the number of distinct objects (member and STIX ID), roughly.
	Count() uint64
	// Census is the number of distinct objects that each of the members has shared,
	// withdrawn ones included. It visits the whole index.
	Census(members []protocol.MemberID) ([]uint64, error)
	// Emptied receives when the index was emptied for damage, or cannot be used
	// any more, so that who feeds it begins again.
	Emptied() <-chan struct{}
	// Reset empties the index and sets the checkpoint to 0.
	Reset() error
	// Size is the bytes on disk, roughly.
	Size() uint64
}

// Store is both.
type Store interface {
	Entries
	Index() Index
	// Incarnation changes whenever arrival numbers start anew.
	Incarnation() protocol.Hash
	Close() error
}
