package badger

import (
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// addErased drafts that payloads go, as many of one feed together as there are in
// a dropRun: what is erased of a feed is one record.
func (l *layer) addErased(places []store.Place) error {
	for len(places) > 0 {
		id := places[0].Feed
		if l.view(id) == nil {
			return fmt.Errorf("erase entry %d of feed %s: %w", places[0].Seq, id.Short(), store.ErrNotFound)
		}
		f := l.edit(id)
		f.erased = f.erased.Clone()
		var u unit
		for len(places) > 0 && places[0].Feed == id && len(u) < dropRun {
			p := places[0]
			places = places[1:]
			if p.Seq == 0 || p.Seq > f.head {
				return fmt.Errorf("erase entry %d of feed %s: %w", p.Seq, id.Short(), store.ErrNotFound)
			}
			if f.erased.Has(p.Seq) {
				continue
			}
			if !f.holds(p.Seq) {
				f.missing = f.missing.Remove(p.Seq)
				u = append(u, op{placeKey(keyMissing, p), nil})
			} else {
				raw, err := l.header(p)
				if err != nil {
					return fmt.Errorf("erase entry %d of feed %s: %w", p.Seq, id.Short(), err)
				}
				h, err := protocol.ReadHeader(raw)
				if err != nil {
					return fmt.Errorf("erase entry %d of feed %s: %w", p.Seq, id.Short(), err)
				}
				f.bytes -= h.Size
				u = append(u, op{payloadKey(p), nil})
			}
			f.erased = f.erased.Add(p.Seq)
		}
		if len(u) > 0 {
			l.units = append(l.units, append(u, erasedOp(id, f), op{feedKey(id), f.record()}))
		}
	}
	return nil
}

// erasedOp keeps which payloads of a feed are erased.
func erasedOp(id protocol.FeedID, f *feed) op {
	if len(f.erased) == 0 {
		return op{erasedKey(id), nil}
	}
	return op{erasedKey(id), f.erased.Encode()}
}
