package node

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// An erase entry may name what is not held and never will be, and then waits for
// good; each that waits is looked at again and again. So only some of one member
// do. Of each feed the place of the first that was passed over is kept, and they
// are taken up from there as others are settled: none is lost, some are late.
const (
	maxErasures  = 4096            // erase entries of one member that wait,
	mayErase     = maxErasures / 2 // beyond which its own nodes write no more until the next day
	passedPrefix = "erase-from/"   // settings: where erase entries of a feed were passed over first
)

// erasures counts the erase entries that wait, by member.
type erasures struct {
	mu      sync.Mutex
	waiting map[protocol.MemberID]int
}

func (e *erasures) of(m protocol.MemberID) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.waiting[m]
}

// take counts one more; false where there are too many.
func (e *erasures) take(m protocol.MemberID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting[m] >= maxErasures {
		return false
	}
	if e.waiting == nil {
		e.waiting = map[protocol.MemberID]int{}
	}
	e.waiting[m]++
	return true
}

// countErasures counts anew: some have been settled, and of some the commit
// failed.
func (n *Node) countErasures() error {
	n.erasures.mu.Lock()
	defer n.erasures.mu.Unlock()
	r, waiting := n.Roster(), map[protocol.MemberID]int{}
	err := n.store.Settings(erasePrefix, func(name string, value []byte) error {
		d, ok := parseDue(erasePrefix, name, value)
		if f, held := n.store.Feed(d.place.Feed); ok && held {
			if m, ok := r.Author(f.Node); ok {
				waiting[m.ID]++
			}
		}
		return nil
	})
	if err == nil {
		n.erasures.waiting = waiting
	}
	return err
}

// noteErasure notes in the settings of a commit when an erase entry takes effect,
// or that it was passed over. The caller is the only one who adds to the feed.
func (n *Node) noteErasure(settings map[string][]byte, h *protocol.Header, at time.Duration) {
	p, id := store.Place{Feed: h.Feed, Seq: h.Seq}, h.ID()
	m, ok := n.Roster().Author(h.Node)
	if ok && n.erasures.take(m.ID) {
		settings[dueName(erasePrefix, at.Milliseconds(), p)] = id[:]
		return
	}
	n.refused.add(ReasonQuota, 1)
	name := passedPrefix + p.Feed.String()
	from, ok := settings[name]
	if !ok {
		from, _ = n.store.Setting(name)
	}
	if len(from) != 8 || p.Seq < binary.BigEndian.Uint64(from) {
		settings[name] = binary.BigEndian.AppendUint64(nil, p.Seq)
	}
}

// passed lists where erase entries were passed over, a place for each feed.
func (n *Node) passed() (out []store.Place, err error) {
	err = n.store.Settings(passedPrefix, func(name string, value []byte) error {
		feed, err := protocol.ParseID[struct{}](strings.TrimPrefix(name, passedPrefix))
		if err == nil && len(value) == 8 {
			out = append(out, store.Place{Feed: protocol.FeedID(feed), Seq: binary.BigEndian.Uint64(value)})
		}
		return nil
	})
	return out, err
}

// takeUp has erase entries that were passed over wait as well, as far as there is
// room now.
func (n *Node) takeUp() error {
	list, err := n.passed()
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := n.takeUpFrom(p.Feed); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) takeUpFrom(feed protocol.FeedID) error {
	f, held := n.store.Feed(feed)
	if held && f.Node == n.key {
		n.writer.Lock()
		defer n.writer.Unlock()
	}
	mu := n.park.lock(feed)
	mu.Lock()
	defer mu.Unlock()
	name := passedPrefix + feed.String()
	from, err := n.store.Setting(name)
	if err != nil || len(from) != 8 {
		return err
	}
	c := &store.Commit{Settings: map[string][]byte{name: nil}}
	f, _ = n.store.Feed(feed)
	at := n.ran.now() + time.Duration(n.Roster().Rules.Erasure())*time.Second
	for p := (store.Place{Feed: feed, Seq: binary.BigEndian.Uint64(from)}); p.Seq <= f.Head; p.Seq++ {
		h, err := n.store.Header(p)
		if err != nil {
			return fmt.Errorf("take up erasures: %w", err)
		}
		if h.Kind != protocol.EntryErase || store.Ranges(f.Missing).Has(p.Seq) {
			continue // noted once its payload comes
		}
		m, ok := n.Roster().Author(h.Node)
		if !ok || !n.erasures.take(m.ID) {
			c.Settings[name] = binary.BigEndian.AppendUint64(nil, p.Seq)
			break
		}
		id := h.ID()
		c.Settings[dueName(erasePrefix, at.Milliseconds(), p)] = id[:]
	}
	_, err = n.store.Commit(n.ctx, c)
	return err
}
