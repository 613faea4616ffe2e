package api

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// trustLine is a line of a trust file.
type trustLine struct {
	ID          string `toml:"id,omitempty"` // of the member: its handle may come to mean another
	Use         string `toml:"use"`
	Send        string `toml:"send"`
	Reliability string `toml:"reliability"`
	Alias       string `toml:"alias,omitempty"`
	Note        string `toml:"note,omitempty"`
	Until       string `toml:"until,omitempty"`
}

// trustFile answers GET /v1/trust/file.
func (s *Server) trustFile(w http.ResponseWriter, _ *http.Request) error {
	l := s.n.TrustList()
	us := ""
	if m, ok := s.us(); ok {
		us = " of " + m.Handle
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Trust list%s, version %d. Who has no line gets the one of the others.\n", us, l.Version)
	write := func(table string, id *protocol.MemberID, d trust.Decision) error {
		f := fieldsOf(&d)
		line := trustLine{Use: f[0], Send: f[1], Reliability: f[2], Alias: f[3], Note: f[4], Until: f[5]}
		if id != nil {
			line.ID = id.String()
		}
		fmt.Fprintf(&b, "\n[%s]\n", table)
		return toml.NewEncoder(&b).Encode(line)
	}
	if err := write(TrustOthers, nil, l.Default); err != nil {
		return fmt.Errorf("write trust file: %w", err)
	}
	type named struct {
		name string
		id   protocol.MemberID
	}
	var members []named
	for id := range l.Members {
		n := named{id.String(), id}
		if m, ok := s.n.Roster().Member(id); ok {
			if by, ok := s.n.Roster().ByHandle(m.Handle); ok && by.ID == id {
				n.name = m.Handle
			}
		}
		members = append(members, n)
	}
	slices.SortFunc(members, func(a, b named) int { return strings.Compare(a.name, b.name) })
	for _, m := range members {
		if err := write("member."+m.name, &m.id, l.Members[m.id]); err != nil {
			return fmt.Errorf("write trust file: %w", err)
		}
	}
	return s.answer(w, TrustFile{Kind: "file", Version: l.Version, Text: b.String()})
}

// trustReader reads a trust file.
type trustReader struct {
	s      *Server
	md     toml.MetaData
	next   *trust.List
	named  map[protocol.MemberID]bool
	alias  map[string]bool
	faults []trustFault
}

// trustFault is something wrong in a file.
type trustFault struct {
	line int
	text string
}

// atFault fails with err at the place of whatever is decoded into it.
type atFault struct{ err error }

// UnmarshalTOML fails.
func (f *atFault) UnmarshalTOML(any) error { return f.err }

// faultf notes what is wrong at a place.
func (t *trustReader) faultf(at toml.Primitive, format string, args ...any) {
	t.fault(t.md.PrimitiveDecode(at, &atFault{fmt.Errorf(format, args...)}))
}

func (t *trustReader) fault(err error) {
	var p toml.ParseError
	if errors.As(err, &p) {
		t.faults = append(t.faults, trustFault{p.Position.Line, p.Message})
		return
	}
	t.faults = append(t.faults, trustFault{text: err.Error()})
}

// readTrust reads a file into a list that is as the file says. It gives how many
// lines the file has. What [others] leaves out stays as it is; what the line of a
// member leaves out is as in the default line.
func (s *Server) readTrust(list *trust.List, name, text string) (next *trust.List, lines int, err error) {
	t := &trustReader{s: s, next: list.Clone(), named: map[protocol.MemberID]bool{}, alias: map[string]bool{}}
	t.next.Members = map[protocol.MemberID]trust.Decision{}
	var top map[string]toml.Primitive
	if t.md, err = toml.Decode(text, &top); err != nil {
		t.fault(err)
	} else {
		lines = t.tables(top)
	}
	if len(t.faults) == 0 {
		return t.next, lines, nil
	}
	slices.SortStableFunc(t.faults, func(a, b trustFault) int { return a.line - b.line })
	if name == "" {
		name = "the file"
	}
	first := t.faults[0]
	e := Errorf(CodeInvalid, "%.256s, line %d: %s", name, first.line, first.text)
	if first.line == 0 {
		e = Errorf(CodeInvalid, "%.256s: %s", name, first.text)
	}
	if more := len(t.faults) - 1; more > 0 {
		e.Message += fmt.Sprintf(" (and %d more)", more)
	}
	return nil, 0, e.WithHint("nothing has changed")
}

// tables reads the tables of a file, the default line first.
func (t *trustReader) tables(top map[string]toml.Primitive) (lines int) {
	for key, at := range top {
		if key != TrustOthers && key != "member" {
			t.faultf(at, "%q is unknown: want [others] and [member.HANDLE]", key)
		}
	}
	if at, ok := top[TrustOthers]; ok {
		lines++
		if line, ok := t.table(at); ok {
			t.next.Default = t.line(line, t.next.Default, true)
		}
	}
	at, ok := top["member"]
	if !ok {
		return lines
	}
	members, _ := t.table(at)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := members[name]
		lines++
		line, ok := t.table(at)
		if !ok {
			continue
		}
		m, ok := t.member(name, at, line)
		if !ok {
			continue
		}
		d := t.next.Default
		d.Note = ""
		t.next.Members[m] = t.line(line, d, false)
	}
	return lines
}

// table gives what is in a table.
func (t *trustReader) table(at toml.Primitive) (out map[string]toml.Primitive, ok bool) {
	var v any
	if err := t.md.PrimitiveDecode(at, &v); err != nil {
		t.fault(err)
		return nil, false
	}
	if _, ok := v.(map[string]any); !ok {
		t.faultf(at, "want a table, as [others] or [member.HANDLE]")
		return nil, false
	}
	if err := t.md.PrimitiveDecode(at, &out); err != nil {
		t.fault(err)
		return nil, false
	}
	return out, true
}

// member finds the member whose line a table is: by its handle, or its ID.
func (t *trustReader) member(name string, at toml.Primitive, line map[string]toml.Primitive) (id protocol.MemberID, ok bool) {
	r := t.s.n.Roster()
	if m, found := r.ByHandle(name); found {
		id = m.ID
	} else if parsed, err := protocol.ParseID[struct{}](name); err == nil {
		// A line about a member that is not known yet, or no more, stays.
		id = protocol.MemberID(parsed)
	} else {
		t.faultf(at, "no member is called %.64q", name)
		return id, false
	}
	if at, given := line["id"]; given {
		if text, ok := t.text(at); !ok {
			return id, false
		} else if text != id.String() {
			t.faultf(at, "%.64q is the member %s now, not the one of this id", name, id.String())
			return id, false
		}
	}
	switch {
	case id == t.s.n.Member():
		t.faultf(at, "%.64q is us: there is nothing to decide", name)
		return id, false
	case t.named[id]:
		t.faultf(at, "%.64q has two lines", name)
		return id, false
	}
	t.named[id] = true
	return id, true
}

// line reads the fields of a line over those of d.
func (t *trustReader) line(fields map[string]toml.Primitive, d trust.Decision, others bool) trust.Decision {
	for key, at := range fields {
		if others && (key == "id" || key == "alias" || key == "until") {
			t.faultf(at, "[others] has no %s", key)
			continue
		}
		try := trust.DefaultDecision() // so that each fault is told at its own field
		err := error(nil)
		text, ok := "", true
		if key != "until" {
			text, ok = t.text(at)
		}
		if !ok {
			continue
		}
		switch key {
		case "id":
		case "use":
			d.Use, err = trust.ParseUse(strings.ToLower(text))
		case "send":
			d.Send = strings.TrimPrefix(strings.ToLower(text), "tlp:")
			try.Send = d.Send
		case "reliability":
			d.Reliability = strings.ToUpper(text)
			try.Reliability = d.Reliability
		case "alias":
			d.Alias = strings.ToLower(text)
			if try.Alias = d.Alias; d.Alias != "" && t.alias[d.Alias] {
				err = fmt.Errorf("alias %s is taken", d.Alias)
			}
			t.alias[d.Alias] = true
		case "note":
			d.Note = text
			try.Note = text
		case "until":
			d.Until, err = t.until(at)
		default:
			err = fmt.Errorf("%.64q is unknown: want use, send, reliability, alias, note, until or id", key)
		}
		if err == nil {
			err = try.Validate()
		}
		if err != nil {
			t.faultf(at, "%s", strings.TrimPrefix(err.Error(), "check decision: "))
		}
	}
	return d
}

// text reads a text.
func (t *trustReader) text(at toml.Primitive) (string, bool) {
	var v any
	if err := t.md.PrimitiveDecode(at, &v); err != nil {
		t.fault(err)
		return "", false
	}
	text, ok := v.(string)
	if !ok {
		t.faultf(at, "want a text between quotation marks")
	}
	return text, ok
}

// until reads a time: a date, or RFC 3339; UTC where it does not say.
func (t *trustReader) until(at toml.Primitive) (int64, error) {
	var v any
	if err := t.md.PrimitiveDecode(at, &v); err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case time.Time:
		// The library gives local times in a zone of this name.
		if strings.HasSuffix(v.Location().String(), "-local") {
			v = time.Date(v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute(), v.Second(), v.Nanosecond(), time.UTC)
		}
		if v.Year() > 0 {
			return v.UnixMilli(), nil
		}
	case string:
		if v == "" {
			return 0, nil
		}
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if parsed, err := time.Parse(layout, v); err == nil {
				return parsed.UnixMilli(), nil
			}
		}
	}
	return 0, errors.New("want a time, as 2018-08-01 or 2018-08-01T13:00:00Z")
}
