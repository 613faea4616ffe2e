package replica

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// asked counts the requests for statements.
func asked(m *Machine) (n int) {
	for _, s := range only[Send](m) {
		if s.Msg.Type() == TypeGetStatements {
			n++
		}
	}
	return n
}

// TestStatementsWait checks that no statements are asked for while those before
// them are being stored, whatever the neighbour does meanwhile.
func TestStatementsWait(t *testing.T) {
	m, me, bad := lying()
	none := me.Greeting().Vector // of no feeds
	page := func(after byte) *Statements {
		return &Statements{Raw: [][]byte{{after}}, Next: protocol.StatementID{after}}
	}
	m.Received(testTime, bad, page(1))
	m.Received(testTime, bad, &Vector{})
	if got := only[Learn](m); len(got) != 1 {
		t.Fatalf("%d to learn", len(got))
	}
	m.Greeted(testTime, bad, &Hello{Statements: protocol.Hash{2}, Vector: none})
	if n := asked(m); n != 0 {
		t.Errorf("asked %d times while learning", n)
	}
	m.Learned(testTime, bad)
	if n := asked(m); n != 1 {
		t.Errorf("asked %d times for the next page", n)
	}
	m.Received(testTime, bad, page(2))
	// It cannot get around that by connecting again.
	m.Down(testTime, bad)
	m.Up(testTime, bad)
	m.Received(testTime, bad, &Welcome{Statements: protocol.Hash{3}, Vector: none})
	if n := asked(m); n != 0 {
		t.Errorf("asked %d times under a new connection", n)
	}
	m.Learned(testTime, bad)
	m.Received(testTime, bad, &Epochs{})
	m.Tick(testTime.Add(time.Second))
	m.Received(testTime.Add(time.Second), bad, &Welcome{Statements: protocol.Hash{3}, Vector: none})
	if n := asked(m); n != 1 {
		t.Errorf("asked %d times once they were learned", n)
	}
}

// TestLostStatementsComeAgain checks that statements that could not be stored,
// and those whose answer was cut short, are asked for at the next hello.
func TestLostStatementsComeAgain(t *testing.T) {
	m, me, _ := lying()
	other := newHome("charlie")
	other.learn([][]byte{testStatements()[0].Raw(), testStatements()[1].Raw()})
	m.Up(testTime, other.key)
	stores := 0
	for now := testTime; now.Before(testTime.Add(5 * time.Minute)); now = now.Add(time.Second) {
		m.Tick(now)
		for list := m.Take(); len(list) > 0; list = m.Take() {
			for _, e := range list {
				switch e := e.(type) {
				case Send:
					if answer := Answer(other, e.Msg); e.To == other.key && answer != nil {
						m.Received(now, other.key, answer)
					} else if e.To == other.key && e.Msg.Type() == TypeGetEpochs {
						m.Received(now, other.key, &Epochs{})
					}
				case Learn:
					if stores++; stores > 2 { // the first two are lost
						me.learn(e.Raw)
					}
					m.Learned(now, e.From)
				}
			}
		}
	}
	if stores != 3 || len(me.statements) != 2 {
		t.Errorf("%d times learned, %d statements held", stores, len(me.statements))
	}
}
