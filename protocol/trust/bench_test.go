package trust_test

import (
	"fmt"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// large is a mesh of 1,000 members and about 5,000 statements.
func large(t failer) *story {
	s := found(t, 2, "ann", "bob", "cat")
	for i := range 997 {
		n := fmt.Sprint("m", i)
		s.newcomer(n, n+"/1", n+"/2")
		s.admit(n, "ann", "bob")
		s.update(n, nil)
		s.update(n, func(c *protocol.Card) { c.Recipient = "age1new" })
	}
	return s
}

func BenchmarkFold(b *testing.B) {
	s := large(b)
	b.ReportMetric(float64(len(s.all)), "statements")
	for b.Loop() {
		if r := trust.Fold(s.mesh, s.all); len(r.Active()) != 1000 {
			b.Fatal(len(r.Active()))
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	s := large(b)
	r := s.fold()
	st := s.update("m5", nil)
	for b.Loop() {
		if err := r.Accept(st); err != nil {
			b.Fatal(err)
		}
	}
}
