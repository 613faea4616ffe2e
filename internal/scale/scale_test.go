package main

import (
	"encoding/xml"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
)

// TestSmallMeshes holds small meshes to what the page says of large ones.
func TestSmallMeshes(t *testing.T) {
	p := plan{sizes: []int{10, 40}, writers: 8, entries: 3, history: 400, removals: 1}
	results := p.simulate(3, func(int) {})
	for _, r := range results {
		nodes := r.Nodes
		if r.Idle > 2000 || r.Idle == 0 {
			t.Errorf("%d nodes: %.0f bytes a second of each at rest", nodes, r.Idle)
		}
		for _, x := range append(r.Small, r.Bulk, cost{Times: r.Down}) {
			if x.Times.Missed != 0 || x.Times.Max == 0 {
				t.Errorf("%d nodes: entries that did not come: %+v", nodes, x.Times)
			}
		}
		if r.MostLinks > min(nodes-1, 40) {
			t.Errorf("%d nodes: %d links", nodes, r.MostLinks)
		}
		if o := r.Online; o.Epochs != 1 || o.Ready.Missed != 0 || o.Ready.Max > 10*time.Second {
			t.Errorf("%d nodes: one removal: %+v", nodes, o)
		}
		for _, list := range r.Offline {
			for _, o := range list {
				last := node.EpochPatience(epochWait, node.StandIns) + wanting
				if o.Epochs < 1 || o.Epochs > 2 || o.Ready.Missed != 0 || o.Blocked.Missed != 0 || o.Blocked.Max > last {
					t.Errorf("%d nodes: a removal whose completer is gone: %+v", nodes, o)
				}
			}
		}
		n := r.Newcomer
		if n.All == 0 || float64(n.EntrySync) > 1.1*float64(n.EntryBytes) || float64(n.StatementSync) > 1.2*float64(r.StatementBytes) {
			t.Errorf("%d nodes: a newcomer: %+v", nodes, n)
		}
	}
	page := report(p, 3, results, time.Unix(0, 0))
	for _, bad := range []string{"%!", "NaN", "Inf"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page says %q:\n%s", bad, page)
		}
	}
	d := xml.NewDecoder(strings.NewReader(plot(results)))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
	}
}

// TestSeedDecides checks that a run can be repeated.
func TestSeedDecides(t *testing.T) {
	p := plan{sizes: []int{12}, writers: 5, entries: 2, history: 50, removals: 1}
	run := func(seed uint64) result {
		r := p.simulate(seed, func(int) {})[0]
		r.Fold, r.FoldBytes = 0, 0
		return r
	}
	first := run(5)
	if again := run(5); !reflect.DeepEqual(first, again) {
		t.Errorf("another run of one seed differs:\n%+v\n%+v", first, again)
	}
	if reflect.DeepEqual(first, run(6)) {
		t.Error("the seed decides nothing")
	}
}
