package nodetest

import (
	"context"
	"crypto/ed25519"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// door is a join host without a network.
type door struct {
	key    protocol.Key
	serve  func(node.Stream)
	closed atomic.Bool
}

func (d *door) Key() protocol.Key   { return d.key }
func (d *door) Addresses() []string { return []string{"192.0.2.1:7"} }
func (d *door) Close() error        { d.closed.Store(true); return nil }

// knock opens a stream to it.
func (d *door) knock() node.Stream {
	a, b := net.Pipe()
	go func() {
		d.serve(pipe{b})
		ignoreErr(b.Close())
	}()
	return pipe{a}
}

type pipe struct{ net.Conn }

func (p pipe) Reset() error { return p.Close() }

// doors keeps the join hosts a node opens.
func doors(list *[]*door) func(*node.Config) {
	return func(c *node.Config) {
		c.Invite = func(key ed25519.PrivateKey, _ string, serve func(node.Stream)) (node.JoinHost, error) {
			d := &door{key: protocol.KeyOf(key), serve: serve}
			*list = append(*list, d)
			return d, nil
		}
	}
}

func settings(s store.Store, prefix string) (count int) {
	ignoreErr(s.Settings(prefix, func(string, []byte) error { count++; return nil }))
	return count
}

// The join host closes when its last ticket has run out, and tickets that have
// are forgotten, by a node that starts afterwards too.
func TestJoinHostClosesWithItsTickets(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 290}, func(t *testing.T, m *Mesh) {
		var list []*door
		s := m.Members[0].Store
		n, stop := m.solo(s, &puppet{}, doors(&list))
		_, err := n.Invite("a", time.Now().Add(time.Minute), true)
		m.must(err)
		_, err = n.Invite("b", time.Now().Add(time.Hour), true)
		m.must(err)
		time.Sleep(2 * time.Minute)
		if list[0].closed.Load() || settings(s, "ticket/") != 1 {
			t.Errorf("after the first: closed %v, %d tickets kept", list[0].closed.Load(), settings(s, "ticket/"))
		}
		time.Sleep(time.Hour)
		if !list[0].closed.Load() || settings(s, "ticket/")+settings(s, "join-host") > 0 {
			t.Errorf("after both: closed %v, %d tickets kept", list[0].closed.Load(), settings(s, "ticket/"))
		}
		_, err = n.Invite("c", time.Now().Add(time.Minute), true)
		m.must(err)
		m.must(stop())
		time.Sleep(time.Hour)
		_, stop = m.solo(s, &puppet{}, doors(&list))
		if len(list) != 2 || settings(s, "ticket/")+settings(s, "join-host") > 0 {
			t.Errorf("after a restart: %d hosts opened, %d tickets kept", len(list), settings(s, "ticket/"))
		}
		m.must(stop())
	})
}

// A joiner gets in though all statements together are too many for one answer.
func TestJoinAmongManyStatements(t *testing.T) {
	Run(t, Options{Nodes: 5, Seed: 291}, func(t *testing.T, m *Mesh) {
		var list []*door
		n, stop := m.solo(m.Members[0].Store, &puppet{}, doors(&list))
		size := 0
		for i := 1; i < 5; i++ {
			p := m.Members[i]
			for k := range trust.MaxOwnCuts {
				c := &protocol.Cut{Member: p.ID, Line: m.line, Node: protocol.KeyOf(p.nodeKey)}
				for f := range protocol.MaxCuts {
					c.Cuts = append(c.Cuts, protocol.FeedCut{Feed: protocol.FeedID{byte(f >> 8), byte(f), byte(k)}, Seq: 1})
				}
				s, err := protocol.NewStatement(m.ID, c, int64(k), p.key)
				m.must(err)
				m.must(n.Learn(s))
				size += len(s.Raw())
			}
		}
		if size < 8<<20 {
			t.Fatalf("%d bytes of statements are not too many", size)
		}
		ticket, err := n.Invite("new", time.Now().Add(time.Hour), true)
		m.must(err)
		i := m.late()
		p := m.Members[i]
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		reply, err := node.Join(ctx, list[0].knock(), ticket, p.card, nil, func(*node.JoinReply) {})
		m.must(err)
		var got []*protocol.Statement
		for _, raw := range reply.Statements {
			s, err := protocol.ParseStatement(raw)
			m.must(err)
			got = append(got, s)
		}
		r := trust.Fold(m.ID, got)
		for _, k := range []int{0, i} {
			if member, ok := r.Member(m.Members[k].ID); !ok || member.State != trust.StateActive || len(member.Nodes) == 0 {
				t.Errorf("the joiner does not see that member %d is in", k)
			}
		}
		m.must(stop())
	})
}
