package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tipmesh/tipmesh/internal/intake"
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const (
	defaultTLP  = stix.TLPGreen
	defaultWait = 30 * time.Second
	maxText     = 256 // of a title or the name of a family
	maxFileName = 1024
)

// share answers POST /v1/share.
func (s *Server) share(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	q, err := s.parseShare(r)
	if err != nil {
		return err
	}
	if err := s.enter(r.Context()); err != nil {
		return err
	}
	batch, err := intake.Read(q.name, r.Body)
	if err == nil {
		err = s.usable(q.name, batch)
	}
	if err != nil {
		s.leave()
		return inputError(err)
	}
	out, places, err := s.compose(r.Context(), q, batch, began)
	s.leave()
	if err != nil {
		return err
	}
	if !q.dry {
		s.waitHeld(r.Context(), q, out, places)
	}
	out.TookS = time.Since(began).Seconds()
	return s.answer(w, out)
}

// inputError is intake's error, coded.
func inputError(err error) error {
	var in *intake.InputError
	if !errors.As(err, &in) {
		return err
	}
	hint := in.Hint
	shown := *in
	shown.Hint = ""
	e := Errorf(CodeInvalid, "%s", shown.Error())
	e.Hint = hint
	return e
}

// usable refuses an input in which there is nothing to share.
func (s *Server) usable(name string, b *intake.Batch) error {
	if len(b.Values) > 0 || len(b.Objects) > 0 {
		return nil
	}
	e := Errorf(CodeInvalid, "%s holds nothing that can be shared", name)
	e.LeftOut = leftOut(b.LeftOut)
	e.Hint = "want a STIX bundle, a list of values, or text that has values in it"
	if len(e.LeftOut) > 0 {
		e.Hint = "what was left out: " + e.LeftOut[0].Value + ": " + e.LeftOut[0].Text
	}
	return e
}

func leftOut(lists ...[]intake.LeftOut) []LeftOut {
	out := []LeftOut{}
	for _, list := range lists {
		for _, l := range list {
			out = append(out, LeftOut{Value: l.Value, Line: l.Line, Reason: l.Reason, Text: l.Text})
		}
	}
	return out
}

// compose makes the bundles and, unless it is a dry run, writes them. It gives
// the places that hold everything the share is about.
func (s *Server) compose(ctx context.Context, q *shareQuery, b *intake.Batch, began time.Time) (*Share, []store.Place, error) {
	s.sharing.Lock()
	defer s.sharing.Unlock()
	// The index may stand still on a full disk: there is nothing to wait for.
	if r, ok := s.n.Store().(store.Room); ok && r.Full() && !q.dry {
		return nil, nil, fmt.Errorf("share: %w", store.ErrDiskFull)
	}
	// What was shared a moment ago must be known as held.
	if err := s.n.CatchUp(ctx); err != nil {
		return nil, nil, err
	}
	me, ok := s.us()
	if !ok || me.State != trust.StateActive {
		return nil, nil, node.ErrNotMember
	}
	readers, _, err := s.n.ReadersIn(q.to, string(q.handling.TLP))
	if err != nil {
		return nil, nil, err
	}
	held := &heldBefore{s: s, me: me.ID, readers: readers, arrivals: map[uint64]bool{}, reach: map[uint64]bool{}}
	author, since := s.author(me)
	c, err := intake.Compose(b, intake.ComposeOptions{Author: author, AuthorModified: since, ShareID: "grouping--" + uuid.NewString(),
		Title: q.title, Handling: q.handling, Held: held.find, Now: s.now()})
	if err == nil {
		err = held.err
	}
	if err != nil {
		return nil, nil, err
	}
	out := &Share{Kind: "share", IDs: orEmpty(c.IDs), Name: q.name, Title: q.title, Format: b.Format, Found: b.Found, New: c.New,
		LeftOut: leftOut(b.LeftOut, c.LeftOut), KeepWeeks: q.weeks, TLP: string(c.TLP), Action: string(q.handling.Action), DryRun: q.dry, Warnings: []Warning{},
		Refused: b.Refused() || slices.ContainsFunc(c.LeftOut, func(l intake.LeftOut) bool { return l.Refused })}
	if err := s.judge(q, c, out); err != nil {
		return nil, nil, err
	}
	if q.dry {
		return out, nil, nil
	}
	places, err := s.n.WriteKept(ctx, q.to, c.Bundles, out.TLP, q.weeks)
	if err != nil {
		return nil, nil, unwritten(err, len(places), len(c.Bundles))
	}
	out.Durable, out.ID = true, c.ShareID
	if len(c.Bundles) == 0 {
		out.ID = held.share
	}
	out.Ref = shareRef(out.ID)
	out.DiskS = time.Since(began).Seconds()
	return out, append(places, held.places()...), nil
}

// unwritten says how far writing came.
func unwritten(err error, written, of int) error {
	if written == 0 {
		return err
	}
	return Errorf(CodePartial, "%d of %d parts were shared, then: %v", written, of, err).
		WithHint("share it again: what is shared already is left out")
}

// author is this member as STIX has it, and when it last changed.
func (s *Server) author(me *trust.Member) (stix.Author, time.Time) {
	a := stix.Author{ID: me.Card.Identity, Name: me.Card.Name, Created: at(me.Since)}
	if first := s.n.Statement(protocol.StatementID(me.ID)); first != nil {
		a.Created = at(first.Time)
	}
	modified := a.Created
	if card := s.n.Statement(me.CardID); card != nil {
		modified = at(card.Time)
	}
	return a, modified
}

// judge applies the house rules, and says who would receive the share.
func (s *Server) judge(q *shareQuery, c *intake.Composed, out *Share) error {
	if c.Raised != "" {
		out.Warnings = append(out.Warnings, Warning{Code: "tlp_raised", Count: c.RaisedBy,
			Text: "shared as " + c.TLP.String() + ", not " + q.handling.TLP.String() + ": " + c.Raised + " says so"})
	}
	if c.NoContext > 0 {
		text := "without context; add " + q.missingContext()
		if s.n.Roster().Rules.Context == 1 {
			return Errorf(CodeDenied, "no_context: the house rules want context, and %s %s", count(c.NoContext, "indicator is", "indicators are"), text)
		}
		out.Warnings = append(out.Warnings, Warning{Code: "no_context", Count: c.NoContext, Text: count(c.NoContext, "indicator is ", "indicators are ") + text})
	}
	readers, full, err := s.n.ReadersIn(q.to, out.TLP)
	if err != nil {
		return err
	}
	out.Audience = Audience{Name: s.audienceName(q.to), Members: []Name{}}
	for _, id := range readers {
		if id != s.n.Member() {
			out.Audience.Members = append(out.Audience.Members, s.name(id))
		}
	}
	out.HeldBy = HeldBy{Of: len(out.Audience.Members), Members: []Name{}}
	others, group := len(s.others()), false
	if g, ok := s.n.Group(q.to); ok {
		others, group = len(g.Readers)-1, true
	}
	switch {
	case others == 0 && group:
		out.Warnings = append(out.Warnings, Warning{Code: "alone", Text: "nobody else is in the group"})
	case others == 0:
		out.Warnings = append(out.Warnings, Warning{Code: "alone", Text: "nobody else is in the mesh yet; whoever joins later gets it then"})
	case out.HeldBy.Of == 0:
		return Errorf(CodeDenied, "tlp_reach: nobody would receive this: the trust list sends %s to nobody", c.TLP.String()).
			WithHint("see tipmesh trust list; a lower --tlp, or tipmesh trust set MEMBER --send %s", string(c.TLP))
	case !full:
		out.Warnings = append(out.Warnings, Warning{Code: "narrow", Count: others - out.HeldBy.Of,
			Text: "the trust list keeps " + c.TLP.String() + " from " + count(others-out.HeldBy.Of, "member", "members")})
	}
	if want, ok := q.wanted(out.HeldBy.Of); !ok {
		return Errorf(CodeInvalid, "cannot wait for %d members: %d others receive this", want, out.HeldBy.Of)
	}
	return nil
}

// missingContext says which flags would give the context.
func (q *shareQuery) missingContext() string {
	var add []string
	for _, f := range []struct {
		flag    string
		missing bool
	}{{"--malware", q.handling.Malware == ""}, {"--first", q.handling.FirstSeen.IsZero()}, {"--last", q.handling.LastSeen.IsZero()}} {
		if f.missing {
			add = append(add, f.flag)
		}
	}
	return strings.Join(add, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// waitHeld waits for as many others of the audience as asked, and says who of
// them holds the share.
func (s *Server) waitHeld(ctx context.Context, q *shareQuery, out *Share, places []store.Place) {
	want, _ := q.wanted(out.HeldBy.Of)
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	// Members beside the audience may hold it too, and do not count.
	for have := s.n.HeldBy(places); ; {
		out.HeldBy.Members = []Name{}
		for _, m := range out.Audience.Members {
			if slices.ContainsFunc(have, func(id protocol.MemberID) bool { return id.String() == m.ID }) {
				out.HeldBy.Members = append(out.HeldBy.Members, m)
			}
		}
		out.HeldBy.Have = len(out.HeldBy.Members)
		if out.HeldBy.Have >= want {
			return
		}
		if out.TimedOut {
			return
		}
		var err error
		if have, err = s.n.WaitHeld(ctx, places, len(have)+1); err != nil {
			out.TimedOut = true
		}
	}
}

// heldBefore finds what this member has shared before with all the readers: what
// went to fewer of them is new to the others.
type heldBefore struct {
	s        *Server
	me       protocol.MemberID
	readers  []protocol.MemberID
	arrivals map[uint64]bool
	reach    map[uint64]bool // by arrival: all the readers can read it
	share    string
	err      error
}

func (h *heldBefore) find(id string) (intake.HeldVersion, bool) {
	if h.err != nil {
		return intake.HeldVersion{}, false
	}
	list, err := h.s.n.Store().Index().ByID(id)
	if err != nil {
		h.err = err
		return intake.HeldVersion{}, false
	}
	for _, o := range list {
		if o.Member != h.me {
			continue
		}
		if !h.reaches(o.Arrival) {
			continue
		}
		h.arrivals[o.Arrival] = true
		if h.share == "" {
			h.share = o.Summary.Share
		}
		return intake.HeldVersion{Content: o.Content, Created: at(o.Created), Modified: at(o.Modified), Revoked: o.Revoked}, true
	}
	return intake.HeldVersion{}, false
}

// reaches reports whether all the readers can read an entry.
func (h *heldBefore) reaches(arrival uint64) bool {
	all, known := h.reach[arrival]
	if !known {
		place, err := h.s.n.PlaceOf(arrival)
		if err != nil {
			h.err = err
			return false
		}
		have := h.s.n.ReadersOf(place)
		all = !slices.ContainsFunc(h.readers, func(m protocol.MemberID) bool { return !slices.Contains(have, m) })
		h.reach[arrival] = all
	}
	return all
}

// places are the entries that hold what was found.
func (h *heldBefore) places() []store.Place {
	var out []store.Place
	for a := range h.arrivals {
		if p, err := h.s.n.PlaceOf(a); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// shareQuery is a share as asked for.
type shareQuery struct {
	to       protocol.AudienceID
	name     string
	title    string
	handling stix.Handling
	wait     string
	timeout  time.Duration
	weeks    uint64
	dry      bool
}

// wanted is how many others must hold it, and whether so many there are.
func (q *shareQuery) wanted(of int) (int, bool) {
	switch q.wait {
	case "", "none":
		return 0, true
	case "all":
		return of, true
	}
	n, err := strconv.Atoi(q.wait)
	return n, err == nil && n >= 0 && n <= of
}

// parseShare reads the query of a share.
func (s *Server) parseShare(r *http.Request) (*shareQuery, error) {
	v := r.URL.Query()
	to, err := s.audience(v.Get("to"))
	if err != nil {
		return nil, err
	}
	q := &shareQuery{to: to, name: v.Get("name"), title: v.Get("title"), wait: v.Get("wait")}
	if q.name == "" {
		q.name = "input"
	}
	h := &q.handling
	h.Malware = strings.TrimSpace(v.Get("malware"))
	if len(q.title) > maxText || len(h.Malware) > maxText || len(q.name) > maxFileName {
		return nil, Errorf(CodeInvalid, "the title or the name of the malware has more than %d bytes", maxText)
	}
	if strings.ContainsRune(h.Malware, 0) {
		return nil, Errorf(CodeInvalid, "the name of the malware has a NUL character")
	}
	if v.Get("pap") != "" {
		return nil, Errorf(CodeInvalid, "PAP is not carried yet").WithHint("leave --pap out")
	}
	if h.TLP, err = s.parseTLP(v.Get("tlp")); err != nil {
		return nil, err
	}
	switch a := stix.Action(v.Get("action")); a {
	case "":
		h.Action = stix.ActionDetect
	case stix.ActionBlock, stix.ActionDetect, stix.ActionNone:
		h.Action = a
	default:
		return nil, Errorf(CodeInvalid, "action %.40q: want block, detect or none", a)
	}
	for name, t := range map[string]*time.Time{"first": &h.FirstSeen, "last": &h.LastSeen, "expires": &h.ValidUntil} {
		if text := v.Get(name); text != "" {
			if *t, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return nil, Errorf(CodeInvalid, "%s %.40q: want a time as 2018-05-23T13:00:00Z", name, text)
			}
		}
	}
	return q, s.parseRest(r, q)
}

func (s *Server) parseRest(r *http.Request, q *shareQuery) (err error) {
	v, h := r.URL.Query(), &q.handling
	if !h.FirstSeen.IsZero() && !h.LastSeen.IsZero() && h.LastSeen.Before(h.FirstSeen) {
		return Errorf(CodeInvalid, "last seen is before first seen")
	}
	if !h.ValidUntil.IsZero() && !h.ValidUntil.After(s.now()) {
		return Errorf(CodeInvalid, "it would have expired already")
	}
	if q.weeks, err = s.parseKeep(v.Get("keep")); err != nil {
		return err
	}
	if text := v.Get("confidence"); text != "" {
		if h.Confidence, err = strconv.Atoi(text); err != nil || h.Confidence < 1 || h.Confidence > 100 {
			return Errorf(CodeInvalid, "confidence %.40q: want 1 to 100", text)
		}
	}
	if _, err := strconv.ParseUint(q.wait, 10, 16); err != nil && q.wait != "" && q.wait != "none" && q.wait != "all" {
		return Errorf(CodeInvalid, "wait %.40q: want none, all or a number of members", q.wait)
	}
	if text := v.Get("dry_run"); text != "" {
		if q.dry, err = strconv.ParseBool(text); err != nil {
			return Errorf(CodeInvalid, "dry_run %.40q: want true or false", text)
		}
	}
	q.timeout, err = duration(r, "timeout", defaultWait)
	return err
}

// parseTLP reads a label; without one it is the house rules'.
func (s *Server) parseTLP(text string) (stix.TLP, error) {
	if text == "" {
		if tlp, err := stix.ParseTLP(s.n.Roster().Rules.TLP); err == nil {
			return tlp, nil
		}
		return defaultTLP, nil
	}
	tlp, err := stix.ParseTLP(text)
	if err != nil {
		return "", Errorf(CodeInvalid, "%v", err)
	}
	return tlp, nil
}
