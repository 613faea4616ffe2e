package replica

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestTranscripts plays testdata/*.txt: commands, a line of dashes, and what the
// machine does. See the cases of play for the commands.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newStage(t).playAll(string(data))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("%s: got\n%s", file, got)
			}
		})
	}
}

// stage is a machine, alpha's, and what its neighbours hold. Nothing happens but
// by a command.
type stage struct {
	t       *testing.T
	start   time.Time
	now     time.Time
	me      *home
	machine *Machine
	homes   map[string]*home
	names   map[[32]byte]string
	asked   map[string][]Message // of each neighbour, not answered yet
	stores  []Store
	learns  []Learn
	out     strings.Builder
}

func newStage(t *testing.T) *stage {
	s := &stage{
		t: t, start: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), me: newHome("alpha"),
		homes: map[string]*home{}, names: map[[32]byte]string{}, asked: map[string][]Message{},
	}
	s.now = s.start
	s.machine = New(Config{Seed: 1}, s.me)
	s.homes["alpha"] = s.me
	s.me.onFork = func(f protocol.FeedID) { fmt.Fprintf(&s.out, "fork of %s proven\n", s.names[f]) }
	for _, n := range []string{"bravo", "charlie", "delta"} {
		s.homes[n] = newHome(n)
		s.names[s.homes[n].key] = n
	}
	return s
}

func (s *stage) playAll(text string) string {
	var all strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		for line := range strings.SplitSeq(commands, "\n") {
			if line != "" && line[0] != '#' {
				s.play(strings.Fields(line))
				s.effects()
			}
		}
		if all.Len() > 0 {
			all.WriteString("\n")
		}
		fmt.Fprintf(&all, "%s\n----\n%s", commands, s.out.String())
		s.out.Reset()
	}
	return all.String()
}

func (s *stage) feed(name string) protocol.FeedID {
	id := feedOf(name)
	s.names[id] = name
	return id
}

// play does one command.
func (s *stage) play(c []string) {
	m, who := s.machine, ""
	var h *home
	if len(c) > 1 {
		who, h = c[1], s.homes[c[1]]
	}
	switch c[0] {
	case "holds": // holds NODE FEED HEAD [direct] [missing A-B]... [branch N from SEQ]
		s.holds(h, c[2:])
	case "cut": // cut FEED SEQ: alpha wants no more of it
		s.me.limits[s.feed(who)] = s.number(c[2])
	case "forked": // forked FEED: alpha has learned so
		s.me.forked[s.feed(who)] = true
	case "refuse", "accept": // refuse FEED: alpha takes no entries of it
		s.me.refused[s.feed(who)] = c[0] == "refuse"
	case "statement": // statement NODE NUMBER
		h.learn([][]byte{testStatements()[s.number(c[2])].Raw()})
	case "unlinked": // unlinked NODE: alpha would like to be connected to it
		s.me.unlinked = []protocol.Key{h.key}
	case "unread": // unread yes|no: alpha holds entries that it cannot open
		s.me.unread = c[1] == "yes"
	case "up":
		m.Up(s.now, h.key)
	case "down":
		s.asked[who] = nil
		m.Down(s.now, h.key)
	case "hello": // hello NODE: it says hello on its own stream
		g := h.Greeting()
		m.Greeted(s.now, h.key, &g)
	case "have": // have NODE FEED: it tells what it holds
		f, _ := h.State(s.feed(c[2]))
		m.Told(s.now, h.key, &Have{Feeds: []FeedState{f}})
	case "answer": // answer NODE [empty | wrong | sealed]: its oldest question
		s.answer(who, h, strings.Join(c[2:], " "))
	case "answers": // answers NODE: all its questions, and those that follow
		for s.effects(); len(s.asked[who]) > 0; s.effects() {
			s.answer(who, h, "")
		}
	case "changed": // changed FEED HEAD: gossip brought entries
		s.holds(s.me, c[1:])
		m.Changed(s.now, s.feed(who))
	case "stored": // the runtime has dealt with the oldest answer
		s.stored()
	case "learned":
		s.me.learn(s.learns[0].Raw)
		m.Learned(s.now, s.learns[0].From)
		s.learns = s.learns[1:]
		m.Compare(s.now, time.Second)
	case "forgive":
		m.Forgive(s.now)
	case "epochs":
		m.AskEpochs(s.now)
	case "compare":
		m.Compare(s.now, 0)
	case "wait": // wait DURATION: time passes
		s.wait(c[1], false)
	case "chat": // chat DURATION: the same, and neighbours answer at once
		s.wait(c[1], true)
	case "state": // what the machine knows
		s.state()
	default:
		s.t.Fatalf("no command %q", c[0])
	}
}

func (s *stage) number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *stage) holds(h *home, c []string) {
	id := s.feed(c[0])
	branch, from := uint64(0), uint64(1)
	var missing [][2]uint64
	for i := 2; i < len(c); i++ {
		switch c[i] {
		case "direct":
			h.direct[id] = true
		case "missing":
			a, b, _ := strings.Cut(c[i+1], "-")
			missing = append(missing, [2]uint64{s.number(a), s.number(b)})
			i++
		case "branch":
			branch, from = s.number(c[i+1]), s.number(c[i+3])
			i += 3
		}
	}
	h.feeds[id] = nil
	for seq := uint64(1); seq <= s.number(c[1]); seq++ {
		salt := uint64(0)
		if seq >= from {
			salt = branch
		}
		h.write(id, salt, 100)
	}
	for _, r := range missing {
		for seq := r[0]; seq <= r[1]; seq++ {
			h.feeds[id][seq-1].full = false
		}
	}
}

func (s *stage) answer(who string, h *home, how string) {
	if len(s.asked[who]) == 0 {
		s.t.Fatalf("%s was asked nothing", who)
	}
	q := s.asked[who][0]
	s.asked[who] = s.asked[who][1:]
	a := Answer(h, q)
	if _, ok := q.(*GetEpochs); ok {
		a = &Epochs{}
	}
	switch how {
	case "sealed":
		a = &Epochs{Sealed: []byte("sealed")}
	case "wrong":
		a = &Vector{}
	case "empty":
		switch q := q.(type) {
		case *GetEntries:
			a = &Entries{Feed: q.Feed, From: q.From}
		case *GetPayloads:
			a = &Payloads{Feed: q.Feed}
		}
	}
	s.machine.Received(s.now, h.key, a)
}

func (s *stage) stored() {
	if len(s.stores) == 0 {
		s.t.Fatal("nothing to store")
	}
	e := s.stores[0]
	s.stores = s.stores[1:]
	usable, diverged, changed := s.me.store(e)
	if changed {
		s.machine.Changed(s.now, e.Feed)
	}
	if diverged {
		s.machine.Diverged(s.now, e.From, e.Feed)
	}
	s.machine.Stored(s.now, e.From, e.Feed, usable)
}

// wait lets time pass and the machine do what is due at each moment.
func (s *stage) wait(text string, chat bool) {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	for end := s.now.Add(d); ; {
		at := s.machine.Next()
		if at.IsZero() || at.After(end) {
			s.now = end
			return
		}
		s.now = at
		s.machine.Tick(s.now)
		s.effects()
		for _, p := range s.machine.order {
			if chat {
				s.play([]string{"answers", s.names[p.key]})
			}
		}
	}
}
