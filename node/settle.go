package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// timeLook is how often a node looks at its clock at least: somebody may have
// set it.
const timeLook = time.Hour

// headsSetting is the setting that says since when this node has had each change
// of governors in the line that is not final here yet.
const headsSetting = "heads"

// keepTime does what the roster asks for at some time: suspensions begin and end,
// and a change of governors that was held for long enough becomes final here.
func (n *Node) keepTime() {
	for {
		next := n.now().Add(timeLook)
		if n.ctx.Err() == nil {
			n.turn()
			if at := n.ledger.base.Load().Next(n.now().UnixMilli()); at != 0 && at < next.UnixMilli() {
				next = time.UnixMilli(at)
			}
			at, err := n.settleLine()
			if err != nil {
				n.log.Error("settle changes of governors", "err", err)
			} else if !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		timer := time.NewTimer(max(next.Sub(n.now()), time.Millisecond))
		select {
		case <-timer.C:
		case <-n.turned:
			timer.Stop()
		case <-n.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// turn has suspensions bite, and end, as the clock has it.
func (n *Node) turn() {
	n.gate.Lock()
	defer n.gate.Unlock()
	before := n.Roster()
	if !n.ledger.turn() {
		return
	}
	n.log.Info("a suspension began or ended")
	n.rosterChanged(before)
}

// settleLine pins the changes of governors that were in the line for as long as the
// house rules say: rivals that turn up later only alarm. It gives when the next
// one is due; zero: none is.
func (n *Node) settleLine() (next time.Time, err error) {
	r, now := n.Roster(), n.now()
	if r.Charter == nil {
		return next, nil
	}
	since, err := loadSince(n.store)
	if err != nil {
		return next, err
	}
	pinned, wait := n.ledger.pinned(), time.Duration(r.Rules.Settle())*time.Second
	final := func(id protocol.StatementID) bool { return id == r.Charter.ID() || slices.Contains(pinned, id) }
	changed, due := false, []protocol.StatementID{}
	if _, ok := since[r.Line]; !ok && !final(r.Line) {
		since[r.Line], changed = now.UnixMilli(), true
	}
	for id, at := range since {
		switch end := time.UnixMilli(at).Add(wait); {
		case final(id) || !r.InLine(id): // if it comes back, its time begins anew
			delete(since, id)
			changed = true
		case !end.After(now):
			due = append(due, id)
		case next.IsZero() || end.Before(next):
			next = end
		}
	}
	if changed {
		raw, err := json.Marshal(since)
		if err == nil {
			_, err = n.store.Commit(n.context(), &store.Commit{Settings: map[string][]byte{headsSetting: raw}})
		}
		if err != nil {
			return next, fmt.Errorf("keep since when changes of governors are held: %w", err)
		}
	}
	if len(due) > 0 {
		n.log.Info("a change of governors is final", "changes", len(due))
		return next, n.Pin(due...) // which has it called again
	}
	return next, nil
}

func loadSince(s store.Entries) (map[protocol.StatementID]int64, error) {
	since := map[protocol.StatementID]int64{}
	raw, err := s.Setting(headsSetting)
	if errors.Is(err, store.ErrNotFound) {
		return since, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &since)
	}
	if err != nil {
		return nil, fmt.Errorf("read since when changes of governors are held: %w", err)
	}
	return since, nil
}
