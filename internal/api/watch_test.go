package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// cut is a connection that breaks after so many bytes have come.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Close())
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// follower watches a home over connections that break at random points, and goes
// on with the last cursor each time.
type follower struct {
	dir    string
	rng    *rand.Rand
	q      WatchRequest
	events []Event
	cuts   int
}

// until follows until done says that the events are all.
func (f *follower) until(t *testing.T, done func([]Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	enough := errors.New("enough")
	for {
		c := NewClientDialing("the home", func(ctx context.Context) (net.Conn, error) {
			conn, err := home.Dial(ctx, f.dir)
			return &cut{conn, 200 + f.rng.IntN(3000)}, err
		})
		err := c.Watch(ctx, f.q, func(cursor string, e *Event) error {
			f.q.Since = cursor
			if e != nil {
				f.events = append(f.events, *e)
			}
			if done(f.events) {
				return enough
			}
			return nil
		})
		c.Close()
		switch {
		case errors.Is(err, enough):
			return
		case ctx.Err() != nil:
			t.Fatalf("after %d cuts %d events: %v", f.cuts, len(f.events), err)
		case code(err) != CodeUnavailable:
			t.Fatal(err)
		}
		f.cuts++
	}
}

// arrivals counts how often each arrival was told in full or in part, by its
// events.
func arrivals(events []Event) map[uint64]int {
	out := map[uint64]int{}
	for _, e := range events {
		for n := range e.Arrivals {
			out[e.Arrival-uint64(n)]++
		}
	}
	return out
}

// erase lets the payload of an arrival go, as an erase entry does once it is due.
func (r *running) erase(number uint64) {
	r.t.Helper()
	place, err := r.home.Node.PlaceOf(number)
	if err == nil {
		_, err = r.home.Node.Store().Commit(r.t.Context(), &store.Commit{Erase: []store.Place{place}})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// A client whose connection breaks at random points sees every arrival once and in
// order, also those whose payloads go meanwhile.
func TestWatchCut(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			alder := found(t, protocol.Rules{})
			rng := rand.New(rand.NewPCG(seed, 5))
			f := &follower{dir: alder.dir, rng: rng, q: WatchRequest{Since: "all", Each: true}}
			count := uint64(0)
			for round := range 6 {
				var refs []string
				first := alder.home.Node.Store().LastArrival()
				for i := range 10 {
					out := alder.shareText(fmt.Sprintf("v%d-%d.example-cut.com\n", round, i), func(q *ShareRequest) { q.Wait = "" })
					refs = append(refs, out.Ref)
				}
				gone := rng.IntN(9)
				if _, err := alder.Withdraw(t.Context(), Withdraw{Ref: refs[gone], Why: "error", NoWait: true}); err != nil {
					t.Fatal(err)
				}
				count = alder.home.Node.Store().LastArrival()
				alder.erase(first + 2 + uint64(gone))
				f.until(t, func(list []Event) bool { return len(list) > 0 && list[len(list)-1].Arrival == count })
			}
			told := arrivals(f.events)
			for n := uint64(1); n <= count; n++ {
				if told[n] != 1 {
					t.Errorf("arrival %d was told %d times", n, told[n])
				}
			}
			if uint64(len(told)) != count || !slices.IsSortedFunc(f.events, func(a, b Event) int { return int(a.Arrival) - int(b.Arrival) }) {
				t.Errorf("%d of %d arrivals told, or not in order", len(told), count)
			}
			gaps := 0
			for _, e := range f.events {
				if e.What == WhatGap && e.Reason == node.GapErased {
					gaps += e.Arrivals
				}
			}
			t.Logf("seed %d: %d arrivals, %d events, %d of erased payloads, %d cuts", seed, count, len(f.events), gaps, f.cuts)
			if f.cuts < 10 {
				t.Errorf("only %d cuts", f.cuts)
			}
		})
	}
}

// What came of several kinds in one entry is several events, and a cursor between
// two of them holds.
func TestWatchKinds(t *testing.T) {
	alder := found(t, protocol.Rules{})
	first := alder.shareText("kinds.example-one.com\n", func(q *ShareRequest) { q.Malware = "VPNFilter" })
	var id string
	for _, x := range first.IDs {
		if strings.HasPrefix(x, "indicator--") {
			id = x
		}
	}
	opinion := `{"type":"opinion","spec_version":"2.1","id":"opinion--0c1ae6e2-2f1e-4b0a-9d3c-6a4e0d0f1a11","created":"2018-05-21T11:02:00.000Z",` +
		`"modified":"2018-05-21T11:02:00.000Z","opinion":"disagree","explanation":"Going to be seized.","object_refs":["` + id + `"]}`
	sighting := `{"type":"sighting","spec_version":"2.1","id":"sighting--0c1ae6e2-2f1e-4b0a-9d3c-6a4e0d0f1a12","created":"2018-05-21T11:02:00.000Z",` +
		`"modified":"2018-05-21T11:02:00.000Z","count":17,"sighting_of_ref":"` + id + `"}`
	note := `{"type":"note","spec_version":"2.1","id":"note--0c1ae6e2-2f1e-4b0a-9d3c-6a4e0d0f1a13","created":"2018-05-21T11:02:00.000Z",` +
		`"modified":"2018-05-21T11:02:00.000Z","content":"Ask the carrier.\nMore.","labels":["carrier"],"object_refs":["` + id + `"]}`
	bundle := `{"type":"bundle","id":"bundle--0c1ae6e2-2f1e-4b0a-9d3c-6a4e0d0f1a14","objects":[` + strings.Join([]string{opinion, sighting, note}, ",") + `]}`
	alder.shareText(bundle, func(q *ShareRequest) { q.Name = "said.json" })

	all := func(filter ...string) (list []Event) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		stop := errors.New("caught up")
		at := cursor{}
		err := alder.Watch(ctx, WatchRequest{Since: "all", Filter: filter}, func(text string, e *Event) error {
			if e != nil {
				list = append(list, *e)
			}
			at, _ = parseCursor(text)
			if at.at.arrival == alder.home.Node.Store().LastArrival() {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		return list
	}
	list := all()
	var what []string
	for _, e := range list {
		what = append(what, e.What+" "+e.Summary)
	}
	want := []string{"shared 1 indicator, 1 malware", "opinion disagree", "seen 17 times", "note Ask the carrier."}
	if !slices.Equal(what, want) {
		t.Fatalf("told %q, want %q", what, want)
	}
	if a := list[1].About; len(a) != 1 || a[0].ID != id || len(a[0].Values) != 1 || a[0].Values[0].Text != "kinds.example-one.com" {
		t.Errorf("the opinion is about %+v", a)
	}
	// Each cursor goes on with what comes after its event.
	for i := range list {
		rest := 0
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		done := errors.New("done")
		err := alder.Watch(ctx, WatchRequest{Since: list[i].Cursor}, func(text string, e *Event) error {
			if e != nil && e.What+" "+e.Summary != want[i+1+rest] {
				t.Errorf("after event %d: %s", i, e.What)
			}
			if e != nil {
				rest++
			}
			if i+1+rest == len(want) {
				return done
			}
			return nil
		})
		cancel()
		if !errors.Is(err, done) {
			t.Fatal(err)
		}
	}
	for filter, count := range map[string]int{
		"type:opinion": 1, "what:seen": 1, "value:example-one.com": 4, "malware:vpnfilter": 4, "label:carrier": 1, "seized": 1,
		"member:alder": 4, "value:other.com": 0, "tlp:red": 0, "audience:everyone": 4,
	} {
		if got := all(filter); len(got) != count {
			t.Errorf("%s: %d events, want %d", filter, len(got), count)
		}
	}
	for _, bad := range []WatchRequest{{Filter: []string{"colour:red"}}, {Filter: []string{"member:nobody"}}, {Filter: []string{"tlp:pink"}},
		{Since: "yesterday"}, {Since: "-5m"}} {
		if err := alder.Watch(t.Context(), bad, nil); code(err) != CodeInvalid && code(err) != CodeNotFound {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// What is over, for named people, or of members of whom nothing is used is counted
// and not told.
func TestWatchWithheld(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	object := func(n int, more string) string {
		return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--0c1ae6e2-2f1e-4b0a-9d3c-6a4e0d0f1a%02d","created":"2018-05-21T11:02:00.000Z",`+
			`"modified":"2018-05-21T11:02:00.000Z","pattern":"[domain-name:value = 'withheld%d.com']","pattern_type":"stix","valid_from":"2018-05-21T11:02:00Z"%s}`, n, n, more)
	}
	red := `,"object_marking_refs":["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"]`
	for i, more := range []string{`,"valid_until":"2018-05-22T00:00:00Z"`, red} {
		bundle := `{"type":"bundle","id":"bundle--0c1ae6e2-2f1e-4b0a-9d3c-6a4e0d0f1a14","objects":[` + object(i, more) + `]}`
		if _, err := alder.home.Node.Write(t.Context(), [][]byte{[]byte(bundle)}, "amber"); err != nil {
			t.Fatal(err)
		}
	}
	birch.inStep()
	for _, use := range []trust.Use{trust.UseRead, trust.UseHold, trust.UseNone} {
		id := alder.home.Node.Member()
		d := birch.home.Node.Trust(id)
		d.Use = use
		if _, err := birch.home.Node.SetTrust(&id, d); err != nil {
			t.Fatal(err)
		}
		want := map[trust.Use]string{trust.UseRead: "[expired tlp_reach]", trust.UseHold: "[held held]", trust.UseNone: "[trust_use trust_use]"}[use]
		var got []string
		stop := errors.New("all")
		err := birch.Watch(t.Context(), WatchRequest{Since: "all"}, func(_ string, e *Event) error {
			if e == nil {
				return nil
			}
			if raw, err := json.Marshal(e); err != nil || strings.Contains(string(raw), "withheld") || e.Total != 0 {
				t.Errorf("%s told: %s", use, raw)
			}
			for _, s := range e.Skipped {
				got = append(got, s.Reason)
			}
			if len(got) == 2 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s: %v", use, got, want, err)
		}
	}
}

// A cursor of another store, or of more than this one holds, is said.
func TestWatchOtherStore(t *testing.T) {
	alder := found(t, protocol.Rules{})
	alder.shareText("other-store.com\n", nil)
	last := alder.home.Node.Store().LastArrival()
	s := New(alder.home.Node, Options{})
	for _, c := range []struct {
		from   cursor
		reason string
		more   bool
	}{
		{cursor{"000000000000", position{7, 0}, s.here(position{}).roster}, GapIncarnation, true},
		{s.here(position{arrival: last + 3}), GapPutBack, false},
		{cursor{s.here(position{}).store, position{last, 0}, "000000000000"}, "", false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		var list []Event
		stop := errors.New("caught up")
		err := alder.Watch(ctx, WatchRequest{Since: c.from.String()}, func(text string, e *Event) error {
			if e != nil {
				list = append(list, *e)
			}
			if at, _ := parseCursor(text); at.at.arrival == last && e == nil {
				return stop
			}
			return nil
		})
		cancel()
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		switch {
		case c.reason == "":
			if len(list) != 1 || list[0].What != WhatRoster {
				t.Errorf("a cursor of another roster: %+v", list)
			}
		case len(list) == 0 || list[0].What != WhatGap || list[0].Reason != c.reason || len(list) > 1 != c.more:
			t.Errorf("%s: %+v", c.reason, list)
		}
	}
}

// A client that does not read holds nobody up, and there are so many at most.
func TestWatchBounds(t *testing.T) {
	alder := found(t, protocol.Rules{})
	for range maxWatchers {
		conn, err := home.Dial(t.Context(), alder.dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET /v1/watch?since=all&each=true HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 15)
		if _, err := io.ReadFull(conn, first); err != nil || string(first) != "HTTP/1.1 200 OK" {
			t.Fatalf("%q %v", first, err)
		}
	}
	if err := alder.Watch(t.Context(), WatchRequest{}, nil); code(err) != CodeUnavailable {
		t.Errorf("one more: %v", err)
	}
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, "slow%d.example-slow.com\n", i)
	}
	if out := alder.shareText(b.String(), nil); !out.Durable {
		t.Error("not shared")
	}
	if f := alder.find("slow7.example-slow.com"); len(f.Assertions) != 1 {
		t.Errorf("%+v", f)
	}
}
