package trust

import (
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
)

// Edit is what one line of a list shall become.
type Edit struct {
	Member protocol.MemberID // zero: the default line
	New    *Decision         // nil: the default line applies again
	By     string
	Why    string
}

// Set decides about a member, or with nil about the default line, at a time in
// milliseconds. By and Why come from d. Setting what already holds changes
// nothing and gives a change of version 0.
func (l *List) Set(m *protocol.MemberID, d Decision, now int64) (Change, error) {
	e := Edit{New: &d, By: d.By, Why: d.Why}
	if m != nil {
		e.Member = *m
	}
	made, err := l.Apply([]Edit{e}, now)
	if err != nil || len(made) == 0 {
		return Change{}, err
	}
	return made[0], nil
}

// Unset lets the default line apply to a member again. Where it applies already,
// nothing changes and the change's version is 0.
func (l *List) Unset(m protocol.MemberID, by, why string, now int64) Change {
	made, err := l.Apply([]Edit{{Member: m, By: by, Why: why}}, now)
	if err != nil || len(made) == 0 {
		return Change{}
	}
	return made[0]
}

// Apply makes edits together, at a time in milliseconds, and gives what changed:
// edits to what already holds change nothing. On an error nothing has changed.
func (l *List) Apply(edits []Edit, now int64) ([]Change, error) {
	next := l.Clone()
	for _, e := range edits {
		if err := next.edit(e, now); err != nil {
			return nil, fmt.Errorf("set trust: %w", err)
		}
	}
	// Aliases may pass from one member to another within the edits.
	whose := map[string]protocol.MemberID{}
	for m, d := range next.Members {
		if _, taken := whose[d.Alias]; taken && d.Alias != "" {
			return nil, fmt.Errorf("set trust: alias %s is taken", d.Alias)
		}
		whose[d.Alias] = m
	}
	made := next.History[len(l.History):]
	if len(made) > 0 {
		*l = *next
	}
	return made, nil
}

func (l *List) edit(e Edit, now int64) error {
	general := e.Member.IsZero()
	c := Change{Member: e.Member, Time: now, By: e.By, Why: e.Why}
	old, held := l.Default, true
	if !general {
		old, held = l.Members[e.Member]
	}
	if held {
		c.Old = &old
	}
	if e.New == nil {
		switch {
		case general:
			return fmt.Errorf("the default line cannot be taken away")
		case len(e.By) > protocol.MaxName || len(e.Why) > protocol.MaxText:
			return fmt.Errorf("reason or name too long")
		case held:
			l.record(c)
			delete(l.Members, e.Member)
		}
		return nil
	}
	d := *e.New
	d.By, d.Why, d.Since, d.Version = e.By, e.Why, now, l.Version+1
	if err := d.Validate(); err != nil {
		return err
	}
	if general && (d.Until != 0 || d.Alias != "") {
		return fmt.Errorf("the default line has no alias and no end")
	}
	if held && old.Same(d) {
		return nil
	}
	c.New = &d
	l.record(c)
	switch {
	case general:
		l.Default = d
	case l.Members == nil:
		l.Members = map[protocol.MemberID]Decision{e.Member: d}
	default:
		l.Members[e.Member] = d
	}
	return nil
}

func (l *List) record(c Change) {
	l.Version++
	c.Version = l.Version
	l.History = append(l.History, c)
}

// Edits gives what makes l decide the same as another list, in the order of
// members, the default line first.
func (l *List) Edits(to *List) (out []Edit) {
	if !l.Default.Same(to.Default) {
		d := to.Default
		out = append(out, Edit{New: &d})
	}
	var members []protocol.MemberID
	for m := range l.Members {
		if _, ok := to.Members[m]; !ok {
			members = append(members, m)
		}
	}
	for m, d := range to.Members {
		if old, ok := l.Members[m]; !ok || !old.Same(d) {
			members = append(members, m)
		}
	}
	for _, m := range protocol.Sorted(members) {
		e := Edit{Member: m}
		if d, ok := to.Members[m]; ok {
			e.New = &d
		}
		out = append(out, e)
	}
	return out
}

// Same reports whether two decisions decide the same, whoever made them and when.
func (d Decision) Same(e Decision) bool {
	d.Since, d.By, d.Why, d.Version = e.Since, e.By, e.Why, e.Version
	return d == e
}
