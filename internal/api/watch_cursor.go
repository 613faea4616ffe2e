package api

import (
	"encoding/hex"
	"regexp"
	"sort"
	"strconv"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// position is how far a watch has told: all of the arrivals up to one, and so many
// events of the next.
type position struct {
	arrival uint64
	told    int
}

// cursor is a position in a store, and the roster that was known there. Its text
// is opaque to clients.
type cursor struct {
	store  string // start of the store's incarnation
	at     position
	roster string // start of the roster's digest
}

var cursorForm = regexp.MustCompile(`^([0-9a-f]{12})-([0-9]{1,19})\.([0-9]{1,9})-([0-9a-f]{12})$`)

func (c cursor) String() string {
	return c.store + "-" + strconv.FormatUint(c.at.arrival, 10) + "." + strconv.Itoa(c.at.told) + "-" + c.roster
}

func parseCursor(text string) (c cursor, ok bool) {
	m := cursorForm.FindStringSubmatch(text)
	if m == nil {
		return c, false
	}
	arrival, err := strconv.ParseUint(m[2], 10, 64)
	if err != nil {
		return c, false
	}
	told, err := strconv.Atoi(m[3])
	return cursor{store: m[1], at: position{arrival, told}, roster: m[4]}, err == nil
}

func shortHash(h protocol.Hash) string { return hex.EncodeToString(h[:6]) }

// here is the cursor of a position in this store.
func (s *Server) here(at position) cursor {
	return cursor{store: shortHash(s.n.Store().Incarnation()), at: at, roster: shortHash(s.n.Roster().Digest())}
}

// since reads from where on a watch tells: a cursor, how long ago, or all.
func (s *Server) since(text string) (cursor, error) {
	if c, ok := parseCursor(text); ok {
		return c, nil
	}
	switch text {
	case "":
		return s.here(position{arrival: s.n.Store().Index().Checkpoint()}), nil
	case "all":
		return s.here(position{}), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return cursor{}, Errorf(CodeInvalid, "since %.80q: want a cursor, a duration as 15m, or all", text)
	}
	from, err := s.arrivedBy(s.now().Add(-d).UnixMilli())
	return s.here(position{arrival: from}), err
}

// arrivedBy is the last arrival of before a time.
func (s *Server) arrivedBy(ms int64) (number uint64, err error) {
	last := s.n.Store().Index().Checkpoint()
	found := sort.Search(int(last), func(i int) bool {
		t, e := s.receivedAt(uint64(i)+1, last)
		if e != nil {
			err = e
		}
		return t > ms
	})
	return uint64(found), err
}

// receivedAt is when an arrival came, or one of the next where that cannot be told
// any more; 0 where it cannot at all.
func (s *Server) receivedAt(number, last uint64) (ms int64, err error) {
	const most = 16
	count := 0
	walk := s.n.Store().Arrivals(number-1, func(a store.Arrival) bool {
		if count++; count > most || a.Number > last {
			return false
		}
		var x *node.Arrived
		if x, err = s.n.Arrived(a); err != nil {
			return false
		}
		ms = s.received(x)
		return ms == 0
	})
	if err == nil {
		err = walk
	}
	return ms, err
}

// received is when an arrival came; 0 where the index does not know.
func (s *Server) received(a *node.Arrived) int64 {
	const tried = 4
	for i := range a.Objects[:min(len(a.Objects), tried)] {
		if v := s.indexed(&a.Objects[i]); v != nil {
			return v.Summary.Received
		}
	}
	return 0
}

// indexed is what the index keeps of a version.
func (s *Server) indexed(o *store.Object) *store.Object {
	list, err := s.n.Store().Index().Versions(o.Member, o.ID)
	if err != nil {
		return nil
	}
	for i := range list {
		if list[i].Arrival == o.Arrival {
			return &list[i]
		}
	}
	return nil
}
