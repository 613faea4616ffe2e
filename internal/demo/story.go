package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// meshName is the mesh of the story.
const meshName = "Harbour Alliance"

// story is the demo under way.
type story struct {
	*world
	*teller
	facts   *facts
	entries int
	refused int
}

func (s *story) opening() {
	s.plain("%s", s.o.bold("tipmesh demo: VPNFilter, May 2018, replayed by five members"))
	s.plain("Five nodes on this machine, no server, nothing leaves it. The indicators are")
	s.plain("those Cisco Talos published on 23 May 2018; members and routine indicators are")
	s.plain("invented. Ctrl-C ends it and removes everything.")
	s.plain("")
	s.plain("  HISTORY  By May 2018 some 500,000 home routers in 54 countries are infected.")
	s.plain("           Talos tells the other members of the Cyber Threat Alliance before")
	s.plain("           it tells the public, and asks them to look and to act together.")
}

// mesh is act 1: founding, joining, two of three governors.
func (s *story) mesh(ctx context.Context) error {
	if err := s.begin(ctx, 1, "A mesh without a middle"); err != nil {
		return err
	}
	alder, birch, cedar, elm, fir := s.all[0], s.all[1], s.all[2], s.all[3], s.all[4]
	if err := s.found(alder, meshName); err != nil {
		return err
	}
	if err := s.start(ctx, alder); err != nil {
		return err
	}
	r, err := alder.client.Roster(ctx)
	if err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "alder", what: "founded", text: "founds " + meshName, right: "governors 1 of 1",
		ok: r.Mesh.Name == meshName && len(r.Governors) == 1 && r.Threshold == 1}); err != nil {
		return err
	}
	begun := time.Now()
	same := true
	for _, m := range []*member{birch, cedar, elm} {
		words, err := s.admit(ctx, m, alder, alder)
		if err != nil {
			return err
		}
		same = same && words
	}
	if err := s.members(ctx, 4, alder, birch, cedar, elm); err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "birch, cedar, elm", what: "joined", text: "join: words compared, alder signs", ok: same,
		took: time.Since(begun)}); err != nil {
		return err
	}
	begun = time.Now()
	p, err := alder.client.Propose(ctx, api.Propose{Op: api.OpGovernors, Governors: []string{"alder", "birch", "cedar"}, Sign: 2,
		Why: "nobody alone"})
	if err != nil {
		return err
	}
	open := p.State == "open"
	if p, err = s.sign(ctx, birch, p.ID); err != nil {
		return err
	}
	if err := s.governed(ctx, 3, 2, alder, birch, cedar, elm); err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "alder, birch", what: "governors", text: "sign: cedar governs with them", right: "governors 2 of 3",
		ok: open && p.State == "done", took: time.Since(begun)}); err != nil {
		return err
	}
	if err := s.guest(ctx, fir, alder, birch); err != nil {
		return err
	}
	s.plain("")
	for _, m := range s.all {
		st, err := m.client.Status(ctx, "", 0)
		if err != nil {
			return err
		}
		s.plain("         %-6s %-12s %s", m.handle, m.sector, strings.Join(st.Addresses, " "))
	}
	return nil
}

// guest lets fir in with two signatures, and says so.
func (s *story) guest(ctx context.Context, fir, alder, birch *member) error {
	ticket, charter, err := s.invite(ctx, alder, fir.name)
	if err != nil {
		return err
	}
	begun := time.Now()
	j, err := s.join(ctx, fir, ticket, charter)
	if err != nil {
		return err
	}
	p, err := s.open(ctx, alder, func(p *api.Proposal) bool { return p.Op == api.OpAdd && p.Title == fir.name })
	if err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "fir", what: "asked", text: "asks to join  " + strings.Join(j.words, "-"),
		ok: len(j.words) == 6 && slices.Equal(j.words, p.Words)}); err != nil {
		return err
	}
	// The inviter's proposal counts as its signature only once it has signed.
	signed := 0
	for _, g := range []*member{birch, alder} {
		now, err := g.client.Proposal(ctx, p.ID)
		if err == nil && (now.State == "done" || slices.ContainsFunc(now.Signed, func(n api.Name) bool { return n.Name == g.handle })) {
			signed++
			continue
		}
		if _, err := s.sign(ctx, g, p.ID); err != nil {
			return err
		}
		signed++
	}
	if err := <-j.done; err != nil {
		return err
	}
	if err := s.members(ctx, 5, s.all...); err != nil {
		return err
	}
	same, version, err := s.sameRoster(ctx)
	if err != nil {
		return err
	}
	return s.tell(ctx, fact{member: "birch, alder", what: "admitted", text: "sign; fir is in", right: fmt.Sprintf("roster %d, %d of 5", version, same),
		ok: signed == 2 && same == 5, took: time.Since(begun)})
}

// admit lets a member in: the inviter compares the words and signs.
func (s *story) admit(ctx context.Context, m, inviter, signer *member) (same bool, err error) {
	ticket, charter, err := s.invite(ctx, inviter, m.name)
	if err != nil {
		return false, err
	}
	j, err := s.join(ctx, m, ticket, charter)
	if err != nil {
		return false, err
	}
	p, err := s.open(ctx, inviter, func(p *api.Proposal) bool { return p.Op == api.OpAdd && p.Title == m.name })
	if err != nil {
		return false, err
	}
	if same = slices.Equal(p.Words, j.words) && len(j.words) == 6; !same {
		return false, nil
	}
	if _, err := signer.client.Sign(ctx, p.ID); err != nil {
		return same, err
	}
	return same, <-j.done
}

// governed waits until nodes see so many governors and signatures.
func (s *story) governed(ctx context.Context, governors, sign int, at ...*member) error {
	for _, m := range at {
		err := eventually(ctx, func() (bool, error) {
			r, err := m.client.Roster(ctx)
			if err != nil {
				return false, err
			}
			return len(r.Governors) == governors && r.Threshold == sign, nil
		})
		if err != nil {
			return fmt.Errorf("%s waits for the governors: %w", m.handle, err)
		}
	}
	return nil
}

// sameRoster counts the nodes that see the roster alder sees.
func (s *story) sameRoster(ctx context.Context) (same int, version uint64, err error) {
	err = eventually(ctx, func() (bool, error) {
		same = 0
		var head string
		for _, m := range s.all {
			r, err := m.client.Roster(ctx)
			if err != nil {
				return false, err
			}
			if head == "" {
				head, version = r.Head, r.Version
			}
			if r.Head == head {
				same++
			}
		}
		return same == len(s.all), nil
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil
	}
	return same, version, err
}

// others gives all members of a list but some.
func others(list []*member, but ...*member) []*member {
	return slices.DeleteFunc(slices.Clone(list), func(m *member) bool { return slices.Contains(but, m) })
}
