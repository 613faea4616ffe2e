package replica

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// effects writes down what the machine wants done.
func (s *stage) effects() {
	for _, e := range s.machine.Take() {
		fmt.Fprintf(&s.out, "+%v ", s.now.Sub(s.start).Round(time.Millisecond))
		switch e := e.(type) {
		case Send:
			who := s.names[e.To]
			if e.Msg.Type() != TypeHave {
				s.asked[who] = append(s.asked[who], e.Msg)
			}
			fmt.Fprintf(&s.out, "to %s: %s\n", who, s.show(e.Msg))
		case Store:
			s.stores = append(s.stores, e)
			fmt.Fprintf(&s.out, "store from %s: %d entries, %d payloads of %s\n", s.names[e.From], len(e.Entries), len(e.Items), s.names[e.Feed])
		case Learn:
			s.learns = append(s.learns, e)
			fmt.Fprintf(&s.out, "learn from %s: %d statements\n", s.names[e.From], len(e.Raw))
		case Unseal:
			fmt.Fprintf(&s.out, "unseal from %s\n", s.names[e.From])
		case Address:
			fmt.Fprintf(&s.out, "address of %s\n", s.names[e.Node])
		case Hearsay:
			fmt.Fprintf(&s.out, "hearsay of %s: %v\n", s.names[e.List[0].Node], e.List[0].Addresses)
		case Reset:
			fmt.Fprintf(&s.out, "reset %s: %s\n", s.names[e.Node], e.Reason)
		}
	}
}

func (s *stage) show(msg Message) string {
	switch m := msg.(type) {
	case *Hello:
		return "Hello"
	case *GetStatements:
		return "GetStatements"
	case *GetVector:
		return "GetVector"
	case *GetEntries:
		return fmt.Sprintf("GetEntries of %s from %d, %d bytes", s.names[m.Feed], m.From, m.Budget)
	case *GetPayloads:
		return fmt.Sprintf("GetPayloads of %s: %v, %d bytes", s.names[m.Feed], m.Seqs, m.Budget)
	case *GetEpochs:
		return "GetEpochs"
	case *GetAddresses:
		return "GetAddresses of " + s.names[m.Nodes[0]]
	case *Have:
		var list []string
		for _, f := range m.Feeds {
			text := fmt.Sprintf("%s to %d", s.names[f.Feed], f.Head)
			if len(f.Missing) > 0 {
				text += fmt.Sprintf(" but %v", f.Missing)
			}
			list = append(list, text)
		}
		return "Have " + strings.Join(list, ", ")
	}
	return fmt.Sprintf("%T", msg)
}

// state writes down what the machine knows.
func (s *stage) state() {
	m := s.machine
	name := func(ids []protocol.FeedID) (out []string) {
		for _, id := range ids {
			out = append(out, s.names[id])
		}
		slices.Sort(out)
		return out
	}
	fmt.Fprintf(&s.out, "behind %v, busy %d, shunned %d", name(m.Behind()), m.busy, m.Shunned(s.now))
	for _, p := range m.order {
		ok, undelivered := m.InStep(p.key, s.start)
		fmt.Fprintf(&s.out, "; %s %d asked, in step %v", s.names[p.key], len(p.pending), ok)
		if undelivered > 0 {
			fmt.Fprintf(&s.out, " but %d", undelivered)
		}
	}
	s.out.WriteString("\n")
}
