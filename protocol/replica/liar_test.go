package replica

import (
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// liar is how a node of the simulation answers.
type liar int

const (
	honest  liar = iota
	silent       // never answers
	empty        // holds all, gives nothing
	garbage      // gives what cannot be used
	boaster      // tells of more than there is
	breaker      // breaks the stream instead of answering
	fickle       // any of these, or the truth
	liars
)

// twist makes a lie of an answer.
func (n *simNode) twist(from *simNode, request, answer Message) Message {
	kind := n.lie
	if kind == fickle {
		kind = liar(n.w.rng.IntN(int(fickle)))
	}
	switch kind {
	case silent:
		return nil
	case empty:
		switch q := request.(type) {
		case *GetEntries:
			return &Entries{Feed: q.Feed, From: q.From}
		case *GetPayloads:
			return &Payloads{Feed: q.Feed}
		}
	case garbage:
		return n.twistAnswer(answer)
	case boaster:
		return n.boast(from, answer)
	case breaker:
		switch request.(type) {
		case *GetEntries, *GetPayloads:
			from.drop(n.home.key)
			return nil
		}
	}
	return answer
}

func (n *simNode) twistAnswer(answer Message) Message {
	switch a := answer.(type) {
	case *Entries:
		for i := range a.Entries {
			a.Entries[i].Payload = []byte("something else")
		}
		switch n.w.rng.IntN(5) {
		case 0:
			a.Feed = n.w.feeds[n.w.rng.IntN(len(n.w.feeds))]
		case 1:
			a.From++
		case 2:
			a.Entries = append(a.Entries, Entry{Header: []byte("no header")})
		case 3:
			a.Entries = a.Entries[:min(1, len(a.Entries))]
		case 4:
			return &Vector{}
		}
	case *Payloads:
		for i := range a.Items {
			a.Items[i].Data = []byte("something else")
		}
		if n.w.rng.IntN(3) == 0 {
			a.Items = append(a.Items, Payload{Seq: 1 << 30})
		}
	case *Statements:
		a.Raw = append(a.Raw, []byte("no statement"))
		a.Next[0] = 255
	}
	return answer
}

// boast tells of more than is held, each time anew.
func (n *simNode) boast(from *simNode, answer Message) Message {
	switch a := answer.(type) {
	case *Welcome:
		a.Vector[0] ^= byte(1 + n.w.rng.IntN(255))
		a.Statements[0] ^= 1
		n.tellLies(from)
	case *Vector:
		for range 3 {
			a.Feeds = append(a.Feeds, FeedState{Feed: feedOf(string(rune('A' + n.w.rng.IntN(60))))})
		}
		slices.SortFunc(a.Feeds, func(x, y FeedState) int { return x.Feed.Compare(y.Feed) })
		a.Feeds = slices.CompactFunc(a.Feeds, func(x, y FeedState) bool { return x.Feed == y.Feed })
		for i := range a.Feeds {
			n.inflate(&a.Feeds[i])
		}
		a.More = n.w.rng.IntN(2) == 0
	}
	return answer
}

func (n *simNode) inflate(f *FeedState) {
	f.Head += 1 + uint64(n.w.rng.IntN(1000))
	f.HeadID = protocol.EntryID{byte(n.w.rng.IntN(256)), 1}
	f.Missing, f.Direct = nil, true
}

// tellLies sends Have with inflated heads.
func (n *simNode) tellLies(to *simNode) {
	have := &Have{}
	for _, id := range n.w.feeds {
		f, _ := n.home.State(id)
		n.inflate(&f)
		have.Feeds = append(have.Feeds, f)
	}
	slices.SortFunc(have.Feeds, func(x, y FeedState) int { return x.Feed.Compare(y.Feed) })
	n.send(n.streams[to.home.key], have)
}
