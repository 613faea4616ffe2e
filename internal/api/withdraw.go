package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/intake"
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const (
	receiptWait     = 5 * time.Second
	maxReceiptWait  = time.Hour
	mostWithdrawn   = 100_000 // objects at a time
	withdrawnMaxRef = 1024
)

// withdraw answers POST /v1/withdraw.
func (s *Server) withdraw(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	var q Withdraw
	if err := read(r, &q); err != nil {
		return err
	}
	why, err := stix.ParseWhy(q.Why)
	if err != nil {
		return Errorf(CodeInvalid, "%v", err)
	}
	wait := receiptWait
	switch {
	case q.WaitS < 0 || q.WaitS > maxReceiptWait.Seconds() || len(q.Ref) > withdrawnMaxRef:
		return Errorf(CodeInvalid, "the wait or the name of what to withdraw is too long")
	case q.WaitS > 0:
		wait = time.Duration(q.WaitS * float64(time.Second))
	}
	out, places, err := s.withdrawNow(r.Context(), &q, why)
	if err != nil {
		return err
	}
	out.TookS = time.Since(began).Seconds()
	if !q.DryRun && !q.NoWait {
		s.waitReceipts(r.Context(), out, places, wait)
	}
	return s.answer(w, out)
}

// withdrawNow finds what is meant and, unless it is a dry run, writes the versions
// that withdraw it.
func (s *Server) withdrawNow(ctx context.Context, q *Withdraw, why stix.Why) (*Withdrawal, []store.Place, error) {
	s.sharing.Lock()
	defer s.sharing.Unlock()
	if err := s.n.CatchUp(ctx); err != nil {
		return nil, nil, err
	}
	me, ok := s.us()
	if !ok || me.State != trust.StateActive {
		return nil, nil, node.ErrNotMember
	}
	t := &taking{s: s, me: me, seen: map[string]bool{}, bundles: map[store.Place][]byte{}}
	ref, err := t.find(q.Ref)
	if err == nil {
		err = t.relations()
	}
	if err != nil {
		return nil, nil, err
	}
	if len(t.objects) == 0 {
		return nil, nil, Errorf(CodeConflict, "nothing of %.80q is left to withdraw", q.Ref).WithHint("see tipmesh show %s", ref)
	}
	out := &Withdrawal{Kind: "withdrawal", Ref: ref, IDs: []string{}, Why: string(why), Found: map[string]int{}, Receipts: []Receipt{},
		Exports: []Export{}, DryRun: q.DryRun, Audience: Audience{Name: "everyone", Members: []Name{}}}
	for _, id := range t.ids {
		out.IDs = append(out.IDs, id)
		out.Found[stix.IDType(id)]++
	}
	t.readers(out)
	if q.DryRun {
		return out, nil, nil
	}
	places, err := t.write(ctx, why)
	if err != nil {
		return out, places, err
	}
	out.Durable = true
	// It is done again within a day where it fails.
	if err := s.n.Erase(ctx, t.places...); err != nil {
		s.log.Warn("write that payloads go", "err", err)
	}
	return out, places, nil
}

// taken is a version that is withdrawn from where it went: what the index says of
// it, where it stands, and the time of the object's newest version.
type taken struct {
	o      store.Object
	place  store.Place
	newest int64
}

// taking collects what a withdrawal takes back.
type taking struct {
	s       *Server
	me      *trust.Member
	seen    map[string]bool
	ids     []string
	objects []taken
	places  []store.Place // of all versions
	bundles map[store.Place][]byte
}

// find finds what a name means, and gives its short form.
func (t *taking) find(text string) (ref string, err error) {
	if v, bad := parseValue(text); bad == nil && !stix.ValidID(text) {
		found, err := t.s.n.Lookup([]store.Value{{Type: string(v.Type), Text: v.Text}})
		if err != nil {
			return "", err
		}
		for _, o := range found[0] {
			if o.Member == t.me.ID && o.Type == "indicator" {
				ref = objectRef(o.ID)
				if err := t.add(o.ID); err != nil {
					return "", err
				}
			}
		}
		if ref != "" {
			return ref, nil
		}
		if len(found[0]) > 0 {
			return "", t.notOurs(found[0])
		}
	}
	list, asShare, err := t.s.resolve(text)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(list, func(o store.Object) bool { return o.Member == t.me.ID })
	if at < 0 {
		return "", t.notOurs(list)
	}
	first := &list[at]
	if asShare || first.Type == "grouping" && first.Summary.Share == first.ID {
		return shareRef(first.Summary.Share), t.share(first)
	}
	return objectRef(first.ID), t.add(first.ID)
}

func (t *taking) notOurs(list []store.Object) error {
	who := t.s.name(list[0].Member).Name
	return Errorf(CodeDenied, "%.64s shared this, and only who shared something can withdraw it", who).
		WithHint("ask %.64s to withdraw it", who)
}

// add takes an object of ours unless it has been withdrawn: for each audience to
// which it went, the newest version that went there. None of them learns from the
// withdrawal what another was told.
func (t *taking) add(id string) error {
	if t.seen[id] || stix.IDType(id) == "identity" {
		return nil
	}
	t.seen[id] = true
	versions, err := t.s.n.Store().Index().Versions(t.me.ID, id)
	if err != nil {
		return err
	}
	versions = t.s.n.Visible(versions)
	if len(versions) == 0 || versions[0].Revoked || versions[0].Modified == 0 {
		return nil
	}
	t.ids = append(t.ids, id)
	went := map[destination]bool{}
	for _, o := range versions {
		place, err := t.s.n.PlaceOf(o.Arrival)
		if err != nil {
			return err
		}
		if !slices.Contains(t.places, place) {
			t.places = append(t.places, place)
		}
		if d := t.destination(&o); !o.Revoked && !went[d] {
			went[d] = true
			t.objects = append(t.objects, taken{o, place, versions[0].Modified})
		}
	}
	if len(t.objects) > mostWithdrawn {
		return Errorf(CodeInvalid, "more than %d objects at a time", mostWithdrawn)
	}
	return nil
}

// share takes all that a share lists, and the records of the share. The family
// that its values belong to stays: other shares may speak of it.
func (t *taking) share(first *store.Object) error {
	for part := range mostParts {
		o, err := t.s.part(first, part)
		if err != nil || o == nil {
			return err
		}
		raw, _, err := t.s.raw(o)
		if err != nil {
			return err
		}
		var grouping struct {
			Refs []string `json:"object_refs"`
		}
		if err := json.Unmarshal(raw, &grouping); err != nil {
			return Errorf(CodeInternal, "read the record of the share: %v", err)
		}
		for _, id := range grouping.Refs {
			if stix.IDType(id) == "malware" && t.family(id) {
				continue
			}
			if err := t.add(id); err != nil {
				return err
			}
		}
		if err := t.add(o.ID); err != nil {
			return err
		}
	}
	return nil
}

// family reports whether a malware object is one that tipmesh made of a name.
func (t *taking) family(id string) bool {
	list, err := t.s.n.Store().Index().ByID(id)
	if err != nil {
		return false
	}
	for i := range list {
		if list[i].Member != t.me.ID {
			continue
		}
		raw, _, err := t.s.raw(&list[i])
		var m struct {
			Name string `json:"name"`
		}
		if err == nil && json.Unmarshal(raw, &m) == nil {
			a := stix.Author{ID: t.me.Card.Identity}
			return stix.NewMalware(a, m.Name, stix.Handling{}, t.s.now()).ID == id
		}
	}
	return false
}

// bundle gives the opened entry.
func (t *taking) bundle(p store.Place) ([]byte, error) {
	if b := t.bundles[p]; b != nil {
		return b, nil
	}
	b, err := t.s.n.Open(p)
	if err == nil {
		t.bundles[p] = b
	}
	return b, err
}

// relations takes the relationships that came with what is withdrawn and begin
// at it.
func (t *taking) relations() error {
	var ids []string
	done := map[store.Place]bool{}
	for _, o := range t.objects {
		if done[o.place] {
			continue
		}
		done[o.place] = true
		b, err := t.bundle(o.place)
		if err != nil {
			return err
		}
		err = stix.Scan(b, func(_ int, raw []byte, f *stix.Facts) error {
			var r struct {
				Source string `json:"source_ref"`
			}
			if f.Type == "relationship" && json.Unmarshal(raw, &r) == nil && t.seen[r.Source] {
				ids = append(ids, strings.Clone(f.ID))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := t.add(id); err != nil {
			return err
		}
	}
	return nil
}

// readers says who could read what is withdrawn since when, and who is told.
func (t *taking) readers(out *Withdrawal) {
	since := map[protocol.MemberID]int64{}
	told := map[protocol.MemberID]bool{}
	dests := map[destination]bool{}
	done := map[store.Place]bool{}
	for i := range t.objects {
		o := &t.objects[i]
		dests[t.destination(&o.o)] = true
		if done[o.place] {
			continue
		}
		done[o.place] = true
		for _, id := range t.s.n.ReadersOf(o.place) {
			m, ok := t.s.n.Roster().Member(id)
			if !ok || id == t.me.ID {
				continue
			}
			from := max(o.o.Summary.Received, m.Since)
			if had, ok := since[id]; !ok || from < had {
				since[id] = from
			}
		}
	}
	for d := range dests {
		readers, _, _ := t.s.n.ReadersIn(d.to, d.tlp) // nobody where we are out of the group
		for _, id := range readers {
			told[id] = true
		}
	}
	held := t.s.n.HeldBy(t.places)
	for _, m := range t.s.n.Roster().Members {
		from, could := since[m.ID]
		if could {
			out.ReadBy = append(out.ReadBy, ReadBy{Member: t.s.name(m.ID), Since: at(from), Held: slices.Contains(held, m.ID), Told: told[m.ID]})
		}
		if told[m.ID] && m.ID != t.me.ID {
			out.Audience.Members = append(out.Audience.Members, t.s.name(m.ID))
		}
	}
	out.ReadBy = orEmpty(out.ReadBy)
}

// tlp is the label that an object goes under.
func (t *taking) tlp(o *store.Object) string {
	if tlp, err := stix.ParseTLP(o.Summary.TLP); err == nil {
		return string(tlp)
	}
	return string(defaultTLP)
}

// destination is where the withdrawal of an object goes: where the object went.
type destination struct {
	to  protocol.AudienceID
	tlp string
}

func (t *taking) destination(o *store.Object) destination {
	return destination{t.s.audienceOf(o), t.tlp(o)}
}

// write writes the versions that withdraw the objects, those of one audience and
// TLP together.
func (t *taking) write(ctx context.Context, why stix.Why) (places []store.Place, err error) {
	author, since := t.s.author(t.me)
	by, from := map[destination][]stix.Object{}, map[destination][]store.Place{}
	for i := range t.objects {
		o := &t.objects[i]
		raw, err := t.raw(o)
		if err != nil {
			return nil, err
		}
		d := t.destination(&o.o)
		from[d] = append(from[d], o.place)
		by[d] = append(by[d], stix.Object{Type: o.o.Type, ID: o.o.ID, Modified: at(o.newest), Raw: raw})
	}
	var closed error // nobody can be told in that group any more; the others must be
	for d, objects := range by {
		bundles, err := intake.ComposeWithdrawal(intake.Withdrawal{Author: author, AuthorModified: since, TLP: stix.TLP(d.tlp), Why: why,
			Objects: objects, Now: t.s.now()})
		if err != nil {
			return places, err
		}
		written, err := t.s.n.WriteKept(ctx, d.to, bundles, d.tlp, t.s.keptFor(from[d]))
		places = append(places, written...)
		if errors.Is(err, node.ErrNoGroup) || errors.Is(err, node.ErrReadOnly) {
			closed = err
			continue
		}
		if errors.Is(err, node.ErrNobody) {
			return places, err
		}
		if err != nil {
			return places, unwritten(err, len(places), len(places)+len(bundles)-len(written))
		}
	}
	if len(places) == 0 {
		return nil, closed
	}
	return places, nil
}

// raw gives an object as it was shared.
func (t *taking) raw(o *taken) (raw json.RawMessage, err error) {
	b, err := t.bundle(o.place)
	if err != nil {
		return nil, err
	}
	err = stix.Scan(b, func(ordinal int, object []byte, _ *stix.Facts) error {
		if ordinal == int(o.o.Ordinal) {
			raw = object
		}
		return nil
	})
	if err == nil && raw == nil {
		err = Errorf(CodeInternal, "the entry of %s does not hold it", o.o.ID)
	}
	return raw, err
}

// waitReceipts waits until all who are told have applied the withdrawal, but for
// those that are not connected, and says who has.
func (s *Server) waitReceipts(ctx context.Context, out *Withdrawal, places []store.Place, wait time.Duration) {
	began := s.now()
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	list, _ := s.n.WaitReceipts(short, places, func(list []node.Receipt) bool { // late is no error
		out.Receipts = s.receipts(out.Audience.Members, list, began)
		return !slices.ContainsFunc(out.Receipts, func(r Receipt) bool { return r.State == ReceiptWaiting })
	})
	out.Receipts = s.receipts(out.Audience.Members, list, began)
}

// receipts says how far each member is with a withdrawal of some time.
func (s *Server) receipts(members []Name, list []node.Receipt, began time.Time) []Receipt {
	out := []Receipt{}
	for _, m := range members {
		r := Receipt{Member: m, State: ReceiptWaiting}
		var id protocol.MemberID
		if id.UnmarshalText([]byte(m.ID)) == nil && !s.n.Online(id) {
			r.State = ReceiptOffline
		}
		for _, x := range list {
			if x.Member.String() == m.ID && x.State == protocol.ReceiptApplied {
				r.State, r.At, r.TookS = ReceiptApplied, at(x.At), max(0, at(x.At).Sub(began).Seconds())
			}
		}
		out = append(out, r)
	}
	return out
}

// withdrawn tells of an object whose newest version withdraws it; nil where it
// does not.
func (s *Server) withdrawn(o *store.Object, raw json.RawMessage, place store.Place) *Withdrawn {
	if !o.Revoked {
		return nil
	}
	out := &Withdrawn{Why: string(stix.WithdrawnWhy(raw)), At: at(o.Modified)}
	if o.Member != s.n.Member() {
		return out
	}
	var members []Name
	for _, id := range s.n.ReadersOf(place) {
		if m, ok := s.n.Roster().Member(id); ok && id != s.n.Member() && m.State == trust.StateActive {
			members = append(members, s.name(id))
		}
	}
	out.Receipts = s.receipts(members, s.n.Receipts([]store.Place{place}), at(o.Summary.Received))
	return out
}
