package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// patience bounds every wait of the story: nodes that missed a word of each other
// say it again within a minute.
const patience = 75 * time.Second

// loopback is where the nodes listen.
const loopback = "127.0.0.1:0"

// member is a member of the story with its running node.
type member struct {
	handle, name, sector string
	dir                  string
	home                 *home.Home
	client               *api.Client
	stop                 context.CancelFunc
	ended                chan error
}

func (m *member) options() home.MemberOptions {
	return home.MemberOptions{Member: m.name, Handle: m.handle, Contact: "cert@" + m.handle + ".example", Sectors: []string{m.sector}}
}

// running reports whether the member's node runs.
func (m *member) running() bool { return m.home != nil }

// world is the story's five members, and what was acknowledged to them.
type world struct {
	dir   string
	log   *slog.Logger
	all   []*member
	acked []acked
}

// acked is a share that its member's node has acknowledged.
type acked struct {
	by      *member
	readers []*member
	ids     []string
}

func newWorld(dir string, log *slog.Logger) *world {
	w := &world{dir: dir, log: log}
	for _, m := range []*member{
		{handle: "alder", name: "Alder Research", sector: "research"},
		{handle: "birch", name: "Birch Resolver", sector: "resolver"},
		{handle: "cedar", name: "Cedar Endpoint", sector: "endpoint"},
		{handle: "elm", name: "Elm Networks", sector: "firewall"},
		{handle: "fir", name: "Fir Mobile", sector: "mobile"},
	} {
		m.dir = filepath.Join(dir, m.handle)
		w.all = append(w.all, m)
	}
	return w
}

// found makes the home of the founder.
func (w *world) found(m *member, mesh string) error {
	// New keys after a removal come within the second that the story has.
	_, err := home.Create(m.dir, home.CreateOptions{MemberOptions: m.options(), Mesh: mesh,
		Rules: protocol.Rules{TLP: "amber", PAP: "green", EpochWaitMillis: 200}})
	return err
}

// start opens a member's home and runs its node and API.
func (w *world) start(ctx context.Context, m *member) error {
	h, err := home.Open(m.dir, home.Options{Listen: []string{loopback}, Log: w.log.With("member", m.handle)})
	if err != nil {
		return err
	}
	socket, err := home.Listen(m.dir)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	listening := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		err := h.Run(running, func() { close(listening) })
		ended <- errors.Join(err, h.Close())
	}()
	select {
	case <-listening:
	case err := <-ended:
		stop()
		return errors.Join(err, socket.Close())
	}
	served := make(chan error, 1)
	go func() {
		served <- api.New(h.Node, api.Options{Log: w.log.With("member", m.handle), Warninglists: filepath.Join(m.dir, api.WarninglistFolder)}).Serve(running, socket)
	}()
	m.home, m.stop, m.ended = h, stop, make(chan error, 1)
	m.client = api.NewClient(m.dir)
	go func() {
		err := <-ended
		stop()
		m.ended <- errors.Join(err, <-served)
	}()
	return nil
}

// halt ends a member's node.
func (w *world) halt(m *member) error {
	if !m.running() {
		return nil
	}
	m.stop()
	m.client.Close()
	err := <-m.ended
	m.home, m.client = nil, nil
	return err
}

// close ends all nodes.
func (w *world) close() error {
	var err error
	for _, m := range slices.Backward(w.all) {
		if stop := m.stop; m.running() && stop != nil {
			stop()
		}
	}
	for _, m := range w.all {
		err = errors.Join(err, w.halt(m))
	}
	return err
}

// invite makes a ticket at a member's node.
func (w *world) invite(ctx context.Context, by *member, name string) (*protocol.Ticket, *protocol.Statement, error) {
	t, err := by.client.Invite(ctx, api.Invite{Name: name, ForS: 600})
	if err != nil {
		return nil, nil, err
	}
	return protocol.ParseTicket(t.Text)
}

// joined is a join under way.
type joined struct {
	words []string
	done  chan error
}

// join makes a guest's home, starts its node and shows its card until it is in.
func (w *world) join(ctx context.Context, m *member, t *protocol.Ticket, charter *protocol.Statement) (*joined, error) {
	made, err := home.NewMember(m.dir, t, charter, m.options())
	if err != nil {
		return nil, err
	}
	if err := w.start(ctx, m); err != nil {
		return nil, err
	}
	j := &joined{words: api.Words(made.Mesh, t.Inviter, made.Card.ID(), t.ID()), done: make(chan error, 1)}
	h := m.home
	go func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		j.done <- h.Join(ctx, nil)
	}()
	return j, nil
}

// open waits until a proposal that fits is open at a member's node.
func (w *world) open(ctx context.Context, at *member, fits func(*api.Proposal) bool) (*api.Proposal, error) {
	var found *api.Proposal
	err := eventually(ctx, func() (bool, error) {
		r, err := at.client.Roster(ctx)
		if err != nil {
			return false, err
		}
		for i := range r.Open {
			if fits(&r.Open[i]) {
				found = &r.Open[i]
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s waits for a proposal: %w", at.handle, err)
	}
	return found, nil
}

// sign waits for a proposal at a governor's node and signs it.
func (w *world) sign(ctx context.Context, at *member, id string) (*api.Proposal, error) {
	if _, err := w.open(ctx, at, func(p *api.Proposal) bool { return p.ID == id }); err != nil {
		return nil, err
	}
	return at.client.Sign(ctx, id)
}

// members waits until nodes see so many members.
func (w *world) members(ctx context.Context, count int, at ...*member) error {
	for _, m := range at {
		if err := m.wait(ctx, fmt.Sprintf("members=%d", count)); err != nil {
			return err
		}
	}
	return nil
}

// inStep waits until nodes hold all that their neighbours hold.
func (w *world) inStep(ctx context.Context, at ...*member) error {
	for _, m := range at {
		if err := m.wait(ctx, "in-step"); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) wait(ctx context.Context, until string) error {
	s, err := m.client.Status(ctx, until, patience)
	if err == nil && s.TimedOut {
		err = fmt.Errorf("%s: not %s in %v", m.handle, until, patience)
	}
	return err
}

// eventually asks again and again, in a bounded time.
func eventually(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// share shares values and waits until so many others hold them.
func (w *world) share(ctx context.Context, by *member, values []string, req api.ShareRequest, readers []*member) (*api.Share, error) {
	req.Body, req.Name, req.To, req.Timeout = strings.NewReader(list(values)), "list", "everyone", patience
	s, err := by.client.Share(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("%s shares: %w", by.handle, err)
	}
	if s.Durable {
		w.acked = append(w.acked, acked{by: by, readers: readers, ids: s.IDs})
	}
	if s.TimedOut {
		return s, fmt.Errorf("%s shares: held by %d of %d after %v", by.handle, s.HeldBy.Have, s.HeldBy.Of, patience)
	}
	return s, nil
}

// knows counts how many of the values a member knows as malicious.
func (m *member) knows(ctx context.Context, values []string) (int, error) {
	s, err := m.client.Lookup(ctx, api.LookupRequest{Values: values}, func(*api.Finding) error { return nil })
	if err != nil {
		return 0, fmt.Errorf("%s looks up: %w", m.handle, err)
	}
	return s.Verdicts[api.VerdictMalicious], nil
}

// lost counts acknowledged objects that a member who was a reader does not hold.
func (w *world) lost() (objects, missing int, err error) {
	for _, a := range w.acked {
		for _, m := range append([]*member{a.by}, a.readers...) {
			if !m.running() {
				return 0, 0, fmt.Errorf("%s does not run", m.handle)
			}
			index := m.home.Node.Store().Index()
			for _, id := range a.ids {
				held, err := index.ByID(id)
				if err != nil {
					return 0, 0, err
				}
				author := a.by.home.Member
				if !slices.ContainsFunc(held, func(o store.Object) bool { return o.Member == author }) {
					missing++
				}
			}
		}
		objects += len(a.ids)
	}
	return objects, missing, nil
}

// inventory is every entry that a store holds, as its header's ID and the hash
// of the payload's bytes.
func inventory(s store.Store) (map[protocol.EntryID]protocol.Hash, error) {
	out := map[protocol.EntryID]protocol.Hash{}
	for _, f := range s.Feeds() {
		err := s.Range(f.ID, 1, func(e store.Entry) bool {
			out[e.Header.ID()] = protocol.HashOf(e.Payload)
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sameBytes reports whether all the stores hold the same entries, byte for byte,
// and how many.
func sameBytes(list []*member) (entries int, same bool, err error) {
	var first map[protocol.EntryID]protocol.Hash
	for i, m := range list {
		inv, err := inventory(m.home.Node.Store())
		if err != nil {
			return 0, false, err
		}
		if i == 0 {
			first = inv
			continue
		}
		if len(inv) != len(first) {
			return len(first), false, nil
		}
		for id, hash := range inv {
			if first[id] != hash {
				return len(first), false, nil
			}
		}
	}
	return len(first), true, nil
}

// linked counts the members of the list that are connected to a node of m.
func linked(list []*member, m *member) int {
	n := 0
	for _, other := range list {
		for _, p := range other.home.Node.Status(time.Time{}).Peers {
			if p.Member == m.home.Member && p.Up {
				n++
			}
		}
	}
	return n
}
