package replica

import (
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
)

// maxHead is the greatest sequence number of any feed.
const maxHead = 1 << 40

func malformed(what string) error {
	return fmt.Errorf("%w: sync message with %s", protocol.ErrMalformed, what)
}

// check applies the limits that CBOR's own decoding does not know.
func check(m Message) error {
	switch m := m.(type) {
	case *Hello:
		return checkHello(m)
	case *Welcome:
		return checkHello((*Hello)(m))
	case *GetStatements:
		if len(m.Digests) != Buckets*BucketDigest {
			return malformed("wrong buckets")
		}
	case *Statements:
		return checkStatements(m)
	case *GetVector:
		if len(m.Digests) != 0 && len(m.Digests) != Buckets*BucketDigest {
			return malformed("wrong buckets")
		}
	case *Vector:
		if len(m.Differ) != 0 && len(m.Differ) != Buckets/8 {
			return malformed("wrong buckets")
		}
		if m.More && len(m.Feeds) == 0 {
			return malformed("nothing and more to come")
		}
		return checkFeeds(m.Feeds, 1)
	case *Have:
		return checkFeeds(m.Feeds, 0)
	case *GetEntries:
		if m.From == 0 || m.From > maxHead || m.Budget > MaxBudget || m.To != 0 && (m.To < m.From || m.To > maxHead) {
			return malformed("a wrong range")
		}
	case *Entries:
		return checkEntries(m.Entries)
	case *GetPayloads:
		return checkSeqs(m)
	case *Payloads:
		return checkPayloads(m.Items)
	case *GetEpochs:
		if len(m.Held) > MaxMarks*MarkLen || len(m.Held)%MarkLen != 0 {
			return malformed("too many marks, or a part of one")
		}
	case *GetAddresses:
		if len(m.Nodes) > MaxAsked {
			return malformed("too many nodes")
		}
	case *Addresses:
		return checkAddresses(m)
	}
	return nil
}

func checkHello(h *Hello) error {
	if len(h.Agent) > protocol.MaxLabel {
		return malformed("an agent over its limit")
	}
	return checkList(h.Addresses)
}

func checkStatements(m *Statements) error {
	if len(m.Raw) > MaxStatements {
		return malformed("too many statements")
	}
	if len(m.Raw) == 0 && !m.Next.IsZero() {
		return malformed("nothing and more to come")
	}
	for _, raw := range m.Raw {
		if len(raw) > protocol.MaxStatement {
			return malformed("a statement over its limit")
		}
	}
	return nil
}

func checkEntries(list []Entry) error {
	if len(list) > MaxEntries {
		return malformed("too many entries")
	}
	for i := range list {
		if len(list[i].Header) > protocol.MaxHeader || len(list[i].Payload) > protocol.MaxPayload {
			return malformed("an entry over its limit")
		}
	}
	return nil
}

func checkSeqs(m *GetPayloads) error {
	if len(m.Seqs) == 0 || len(m.Seqs) > MaxEntries || m.Budget > MaxBudget {
		return malformed("a wrong range")
	}
	last := uint64(0)
	for _, seq := range m.Seqs {
		if seq <= last || seq > maxHead {
			return malformed("payloads out of order")
		}
		last = seq
	}
	return nil
}

func checkPayloads(items []Payload) error {
	if len(items) > MaxEntries {
		return malformed("too many payloads")
	}
	last := uint64(0)
	for i := range items {
		if items[i].Seq <= last || items[i].Seq > maxHead || len(items[i].Data) > protocol.MaxPayload {
			return malformed("payloads out of order or over their limit")
		}
		last = items[i].Seq
	}
	return nil
}

func checkAddresses(m *Addresses) error {
	if len(m.List) > MaxAsked {
		return malformed("addresses of too many nodes")
	}
	for _, a := range m.List {
		if err := checkList(a.Addresses); err != nil {
			return err
		}
	}
	return nil
}

func checkList(addresses []string) error {
	if len(addresses) > MaxAddresses {
		return malformed("too many addresses of one node")
	}
	for _, a := range addresses {
		if len(a) > protocol.MaxAddress {
			return malformed("an address over its limit")
		}
	}
	return nil
}

// checkFeeds checks states in ascending order of their feeds. Only Have may name
// a head of zero, for a feed of which nothing is held any more.
func checkFeeds(feeds []FeedState, least uint64) error {
	if len(feeds) > MaxFeeds {
		return malformed("too many feeds")
	}
	for i := range feeds {
		f := &feeds[i]
		if i > 0 && f.Feed.Compare(feeds[i-1].Feed) <= 0 {
			return malformed("feeds out of order")
		}
		if f.Head < least || f.Head > maxHead || (f.Head == 0) != f.HeadID.IsZero() {
			return malformed("a wrong head")
		}
		if len(f.Missing) > 2*MaxRanges || len(f.Missing)%2 != 0 {
			return malformed("wrong missing ranges")
		}
		last := uint64(0)
		for j := 0; j < len(f.Missing); j += 2 {
			if f.Missing[j] <= last || f.Missing[j+1] < f.Missing[j] || f.Missing[j+1] > f.Head {
				return malformed("wrong missing ranges")
			}
			last = f.Missing[j+1]
		}
	}
	return nil
}
