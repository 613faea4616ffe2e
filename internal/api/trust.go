package api

import (
	"net/http"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// trustOf is what applies to a member now.
func (s *Server) trustOf(m *trust.Member) Trust {
	l, now := s.n.TrustList(), s.now().UnixMilli()
	t := trustFrom(l.For(m.ID, now))
	t.Member = Name{ID: m.ID.String(), Name: m.Handle}
	own, ok := l.Members[m.ID]
	if t.Default = !ok; l.Lapsed(m.ID, now) {
		t.Default, t.Lapsed, t.Until = true, true, at(own.Until)
	}
	return t
}

func trustFrom(d trust.Decision) Trust {
	return Trust{Kind: "trust", Use: d.Use.String(), Send: d.Send, Reliability: d.Reliability, Alias: d.Alias, Note: d.Note,
		Until: at(d.Until), Since: at(d.Since), By: d.By, Version: d.Version}
}

func (s *Server) trustOthers() Trust {
	t := trustFrom(s.n.TrustDefault())
	t.Member, t.Default = Name{Name: TrustOthers}, true
	return t
}

// trustName names the member of a line.
func (s *Server) trustName(m protocol.MemberID) Name {
	if m.IsZero() {
		return Name{Name: TrustOthers}
	}
	return s.name(m)
}

// trustList answers GET /v1/trust.
func (s *Server) trustList(w http.ResponseWriter, _ *http.Request) error {
	var out []Trust
	for _, m := range s.others() {
		out = append(out, s.trustOf(m))
	}
	return lines(s, w, append(out, s.trustOthers()))
}

// setTrust answers PUT /v1/trust/{who}.
func (s *Server) setTrust(w http.ResponseWriter, r *http.Request) error {
	var c TrustChange
	if err := read(r, &c); err != nil {
		return err
	}
	m, edit, err := s.trustEdit(s.n.TrustList(), r.PathValue("who"), &c)
	if err != nil {
		return err
	}
	made, err := s.editTrust([]trust.Edit{edit}, c.Planned)
	if err != nil {
		return err
	}
	t := s.trustOthers()
	if m != nil {
		t = s.trustOf(m)
	}
	t.Changed = len(made) > 0
	return s.answer(w, t)
}

// editTrust makes edits; what it cannot do is the caller's fault.
func (s *Server) editTrust(edits []trust.Edit, planned *uint64) ([]trust.Change, error) {
	if _, err := s.n.TrustList().Clone().Apply(edits, 0); err != nil {
		return nil, Errorf(CodeInvalid, "%v", err)
	}
	return s.n.EditTrust(edits, planned)
}

// trustEdit makes an edit of a change of one line. The member is nil for the
// default line.
func (s *Server) trustEdit(l *trust.List, who string, c *TrustChange) (*trust.Member, trust.Edit, error) {
	now, m := l.Default, (*trust.Member)(nil)
	if who != TrustOthers {
		var err error
		if m, err = s.find(who); err != nil {
			return nil, trust.Edit{}, err
		}
		if m.ID == s.n.Member() {
			return nil, trust.Edit{}, Errorf(CodeInvalid, "%s is us: there is nothing to decide", m.Handle)
		}
		now = l.For(m.ID, s.now().UnixMilli())
		if _, own := l.Members[m.ID]; !own {
			now.Note = "" // it is the default line's
		}
	}
	d, err := c.apply(now)
	if err != nil {
		return nil, trust.Edit{}, err
	}
	e := trust.Edit{New: &d, By: c.By, Why: c.Why}
	if m != nil {
		e.Member = m.ID
	}
	return m, e, nil
}

// apply changes a decision.
func (c *TrustChange) apply(d trust.Decision) (trust.Decision, error) {
	d.Since, d.Version, d.By, d.Why = 0, 0, c.By, c.Why
	if c.Use != nil {
		use, err := trust.ParseUse(*c.Use)
		if err != nil {
			return d, Errorf(CodeInvalid, "%v", err)
		}
		d.Use = use
	}
	for _, f := range []struct {
		to   *string
		from *string
	}{{&d.Send, c.Send}, {&d.Reliability, c.Reliability}, {&d.Alias, c.Alias}, {&d.Note, c.Note}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if c.Until != nil {
		d.Until = 0
		if !c.Until.IsZero() {
			d.Until = c.Until.UnixMilli()
		}
	}
	if err := d.Validate(); err != nil {
		return d, Errorf(CodeInvalid, "%v", err)
	}
	return d, nil
}

// trustHistory answers GET /v1/trust/history.
func (s *Server) trustHistory(w http.ResponseWriter, r *http.Request) error {
	of, all := protocol.MemberID{}, true
	if who := r.URL.Query().Get("who"); who != "" {
		if all = false; who != TrustOthers {
			m, err := s.find(who)
			if err != nil {
				return err
			}
			of = m.ID
		}
	}
	l := s.n.TrustList()
	before := trust.DefaultDecision() // the default line, at the time of a change
	var out []TrustRecord
	for _, c := range l.History {
		if all || c.Member == of {
			out = append(out, TrustRecord{Kind: "record", Time: at(c.Time), Member: s.trustName(c.Member), By: c.By, Why: c.Why,
				Version: c.Version, Changes: s.trustFields(c.Member, c.Old, c.New, before)})
		}
		if c.Member.IsZero() && c.New != nil {
			before = *c.New
		}
	}
	slices.Reverse(out)
	return lines(s, w, out)
}
