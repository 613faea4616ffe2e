package api

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/protocol"
)

// eventually waits until something holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 200 {
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s: not within 10 s", what)
}

func TestGovernorsRemove(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	cedar := alder.invited("cedar")
	elm := alder.invited("elm")
	alder.shareText("before.kwaad.nl", nil)

	if _, err := cedar.Propose(t.Context(), Propose{Op: OpRemove, Subject: "nobody"}); code(err) != CodeNotFound {
		t.Errorf("nobody: %v", err)
	}
	p, err := alder.Propose(t.Context(), Propose{Op: OpGovernors, Governors: []string{"alder", "birch", "cedar"}, Sign: 2})
	if err != nil || p.State != "open" || len(p.Signed) != 1 || p.Needs != 2 || p.Op != OpGovernors || len(p.Missing) != 2 {
		t.Fatalf("governors: %v %+v", err, p)
	}
	eventually(t, "the proposal arrives", func() bool {
		_, err := birch.Proposal(t.Context(), p.Ref)
		return err == nil
	})
	if p, err = birch.Sign(t.Context(), p.Ref); err != nil || p.State != "done" {
		t.Fatalf("sign: %v %+v", err, p)
	}
	for _, n := range []*running{alder, cedar} {
		eventually(t, "the governors change", func() bool {
			r, err := n.Roster(t.Context())
			return err == nil && len(r.Governors) == 3 && r.Threshold == 2
		})
	}

	if p, err = alder.Propose(t.Context(), Propose{Op: OpRemove, Subject: "elm", Why: "left"}); err != nil || p.State != "open" || p.Subject.Name != "elm" {
		t.Fatalf("remove: %v %+v", err, p)
	}
	if _, err := alder.Propose(t.Context(), Propose{Op: OpRemove, Subject: "elm"}); code(err) != CodeConflict {
		t.Errorf("twice: %v", err)
	}
	if _, err := alder.Sign(t.Context(), p.Ref); code(err) != CodeConflict {
		t.Errorf("signed twice: %v", err)
	}
	for _, n := range []*running{cedar, elm} {
		eventually(t, "the removal arrives", func() bool {
			_, err := n.Proposal(t.Context(), p.Ref)
			return err == nil
		})
	}
	if _, err := elm.Sign(t.Context(), p.Ref); code(err) != CodeDenied {
		t.Errorf("elm signs: %v", err)
	}
	if p, err = cedar.Sign(t.Context(), p.ID); err != nil || p.State != "done" {
		t.Fatalf("sign: %v %+v", err, p)
	}
	afterRemoval(t, alder, birch, cedar, elm)
}

func afterRemoval(t *testing.T, alder, birch, cedar, elm *running) {
	t.Helper()
	for _, n := range []*running{alder, birch, cedar} {
		eventually(t, "elm is out", func() bool {
			m, err := n.Member(t.Context(), "elm")
			return err == nil && m.State == "removed"
		})
	}
	sh := alder.shareText("after.kwaad.nl", nil)
	if sh.HeldBy.Of != 2 || sh.HeldBy.Have != 2 || slices.ContainsFunc(sh.Audience.Members, func(n Name) bool { return n.Name == "elm" }) {
		t.Errorf("share: %+v", sh)
	}
	eventually(t, "nobody is connected with elm", func() bool {
		s, err := elm.Status(t.Context(), "", 0)
		return err == nil && s.Members.Up == 0
	})
	if f := elm.find("before.kwaad.nl"); f.Verdict != VerdictSuspicious {
		t.Errorf("elm keeps what it had: %+v", f)
	}
	if f := elm.find("after.kwaad.nl"); f.Verdict != VerdictUnknown {
		t.Errorf("elm reads on: %+v", f)
	}
	r, err := birch.Roster(t.Context())
	if err != nil || len(r.Members) != 4 || len(r.Open) != 0 {
		t.Errorf("roster: %v %+v", err, r)
	}
	log, err := birch.RosterLog(t.Context())
	if err != nil || len(log) < 12 || log[0].What != "charter" {
		t.Errorf("log: %v %+v", err, log)
	}
	head := r.Head
	if r, err = cedar.Roster(t.Context()); err != nil || r.Head != head {
		t.Errorf("heads differ: %v", err)
	}
}

func TestGovernorSignsJoiner(t *testing.T) {
	alder := found(t, protocol.Rules{})
	ticket, err := alder.Invite(t.Context(), Invite{Name: "Birch", ForS: 600})
	if err != nil || len(ticket.Needs.Governors) != 1 || ticket.Needs.Threshold != 1 || !strings.HasPrefix(ticket.Ref, "ticket:") {
		t.Fatalf("invite: %v %+v", err, ticket)
	}
	parsed, charter, err := protocol.ParseTicket(ticket.Text)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "birch")
	made, err := home.NewMember(dir, parsed, charter, home.MemberOptions{Member: "Birch DNS", Contact: "x@birch.example"})
	if err != nil {
		t.Fatal(err)
	}
	birch := run(t, dir)
	joined := make(chan error, 1)
	go func() { joined <- birch.home.Join(t.Context(), nil) }()
	var open Proposal
	eventually(t, "the card arrives", func() bool {
		r, err := alder.Roster(t.Context())
		if err != nil || len(r.Open) != 1 {
			return false
		}
		open = r.Open[0]
		return open.Title != "" // the proposal may be known a moment before the card
	})
	words := Words(protocol.MeshID(charter.ID()), parsed.Inviter, made.Card.ID(), parsed.ID())
	if open.Op != OpAdd || open.Subject.Name != "birch" || open.Title != "Birch DNS" || !slices.Equal(open.Words, words) || len(words) != 6 {
		t.Errorf("proposal: %+v, words %v", open, words)
	}
	if _, err := alder.Sign(t.Context(), open.Ref); err != nil {
		t.Fatal(err)
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	birch.inStep()
	s, err := alder.Status(t.Context(), "members=2", 10*time.Second)
	if err != nil || s.TimedOut {
		t.Errorf("status: %v %+v", err, s)
	}
}

func TestCardAndMembers(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	alder.inStep()
	duty, topics := "+44 20 7946 0000, 24/7", []string{"VPNFilter"}
	c, err := alder.SetCard(t.Context(), CardChange{Duty: &duty, WorkingOn: &topics, Consent: &Consent{TLP: "TLP:AMBER", ForS: 1209600}})
	if err != nil || c.Version != 2 || c.Duty != duty || c.Consent.TLP != "amber" {
		t.Fatalf("set: %v %+v", err, c)
	}
	if _, err := alder.SetCard(t.Context(), CardChange{Duty: &duty}); code(err) != CodeConflict {
		t.Errorf("the same again: %v", err)
	}
	long := strings.Repeat("x", 5000)
	if _, err := alder.SetCard(t.Context(), CardChange{Name: &long}); code(err) != CodeInvalid {
		t.Errorf("too long: %v", err)
	}
	eventually(t, "birch has the card", func() bool {
		m, err := birch.Member(t.Context(), "alder")
		return err == nil && m.Card == 2 && m.Duty == duty && len(m.Nodes) == 1 && m.Nodes[0].Up && m.Trust.Default
	})
	list, err := birch.Members(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("members: %v %+v", err, list)
	}
	for _, m := range list {
		if m.Us != (m.Handle == "birch") || m.State != "active" || !strings.HasPrefix(m.Nodes[0].ID, "12D3Koo") {
			t.Errorf("%+v", m)
		}
		if got, err := birch.Member(t.Context(), m.Ref); err != nil || got.ID != m.ID {
			t.Errorf("%s: %v", m.Ref, err)
		}
	}
	if _, err := birch.Invite(t.Context(), Invite{Admit: true}); code(err) != CodeDenied {
		t.Errorf("birch admits: %v", err)
	}
}

func TestStatus(t *testing.T) {
	alder := found(t, protocol.Rules{})
	s, err := alder.Status(t.Context(), "", 0)
	if err != nil || s.State != "WELL" || s.Membership != "active" || s.Members.Of != 0 || s.Mesh.Name != "Harbour Alliance" || s.Member.Name != "alder" || !s.InStep {
		t.Errorf("alone: %v %+v", err, s)
	}
	s, err = alder.Status(t.Context(), "members=2", 200*time.Millisecond)
	if err != nil || !s.TimedOut || s.Exit() != 6 {
		t.Errorf("in vain: %v %+v", err, s)
	}
	for _, until := range []string{"members=x", "doomsday"} {
		if _, err := alder.Status(t.Context(), until, time.Second); code(err) != CodeInvalid {
			t.Errorf("%s: %v", until, err)
		}
	}
	birch := alder.invited("birch")
	alder.inStep()
	if s, err = alder.Status(t.Context(), "in-step", 10*time.Second); err != nil || s.Members != (UpOf{1, 1}) || len(s.Peers) != 1 || s.Peers[0].Member.Name != "birch" {
		t.Errorf("two: %v %+v", err, s)
	}
	birch.stop()
	alder.shareText("x.kwaad.nl", func(q *ShareRequest) { q.Wait = "" })
	eventually(t, "birch is down", func() bool {
		s, err = alder.Status(t.Context(), "", 0)
		return err == nil && s.Members.Up == 0 && s.State == "LOOK" && s.Behind["birch"] > 0
	})
}

func TestClientErrors(t *testing.T) {
	c := NewClient(t.TempDir())
	if _, err := c.Status(t.Context(), "", 0); code(err) != CodeUnavailable || exitOf(code(err)) != 6 {
		t.Errorf("no node: %v", err)
	}
	alder := found(t, protocol.Rules{})
	for path, want := range map[string]int{"/v1/nothing": 404, "/v2/status": 404, "/v1/members/nobody": 404, "/v1/status?timeout=never": 400} {
		resp, err := alder.http.Get("http://tipmesh" + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for body, want := range map[string]string{`{"op":"explode"}`: CodeInvalid, `{"nonsense":1}`: CodeInvalid, `{`: CodeInvalid, strings.Repeat(" ", 2<<20): CodeInvalid} {
		if err := alder.call(t.Context(), http.MethodPost, "/v1/roster/proposals", strings.NewReader(body), new(Proposal)); code(err) != want {
			t.Errorf("%.20q: %v", body, err)
		}
	}
	alder.stop()
	if _, err := alder.Roster(t.Context()); code(err) != CodeUnavailable {
		t.Errorf("stopped: %v", err)
	}
	// Something else answers on the socket.
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, home.SocketFile))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("220 mail.example ESMTP\r\n"))
			conn.Close()
		}
	}()
	if _, err := NewClient(dir).Roster(t.Context()); code(err) != CodeUnavailable {
		t.Errorf("another server: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, home.SocketFile)); err != nil {
		t.Error(err)
	}
}
