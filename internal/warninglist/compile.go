package warninglist

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// compiler fills a Set.
type compiler struct {
	set         *Set
	joined      map[[2]uint32]group // a group and a list more
	entries     int
	substrings  int
	expressions int
	faults      []Fault
	untold      int
}

const noGroup = ^uint32(0)

func newCompiler() *compiler {
	return &compiler{set: &Set{exact: map[string]group{}, hosts: map[string]group{}}, joined: map[[2]uint32]group{}}
}

// fault notes what was left out. Many entries left out of one list for one
// reason are one fault.
func (c *compiler) fault(file, field, text string) {
	if n := len(c.faults); n > 0 && field != "" {
		if f := &c.faults[n-1]; f.File == file && f.Text == text && strings.HasPrefix(f.Field, "list[") {
			f.Count++
			return
		}
	}
	if len(c.faults) == MaxFaults {
		c.untold++
		return
	}
	c.faults = append(c.faults, Fault{File: file, Field: field, Text: text})
}

func (c *compiler) told() []Fault {
	if c.untold > 0 {
		c.faults = append(c.faults, Fault{File: ".", Text: fmt.Sprintf("%d more faults", c.untold)})
	}
	return c.faults
}

// add compiles one file. An error ends all: a limit of the whole is broken.
func (c *compiler) add(name string, f *file) error {
	l := &List{File: name, Name: f.Name, Version: f.Version}
	var err error
	if err = checkName(f.Name); err != nil {
		c.fault(name, "name", err.Error())
		return nil
	}
	if l.Type, err = f.kindOf(); err != nil {
		c.fault(name, "type", err.Error())
		return nil
	}
	if l.Meaning, err = f.meaning(name); err != nil {
		c.fault(name, "category", err.Error())
		return nil
	}
	entries, err := f.entries()
	if err != nil {
		c.fault(name, "list", err.Error())
		return nil
	}
	if c.entries += len(entries); c.entries > MaxEntries {
		return fmt.Errorf("read warninglists: %s: more than %d entries in all", name, MaxEntries)
	}
	if len(f.Attributes) > 0 && !slices.Contains(f.Attributes, "ALL") {
		l.applies = map[observable.Type]bool{}
		for _, a := range f.Attributes { // types that we do not have are no fault
			for _, t := range attributes[a] {
				l.applies[t] = true
			}
		}
	}
	place := uint32(len(c.set.lists))
	c.set.lists = append(c.set.lists, l)
	for i, entry := range entries {
		if err := c.entry(l.Type, entry, place); err != nil {
			if over := (limitError{}); errors.As(err, &over) {
				return fmt.Errorf("read warninglists: %s: list[%d]: %w", name, i, err)
			}
			c.fault(name, fmt.Sprintf("list[%d]", i), err.Error())
			continue
		}
		l.Entries++
	}
	return nil
}

// limitError is a limit of all lists together.
type limitError struct{ text string }

func (e limitError) Error() string { return e.text }

func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("missing")
	case len(name) > maxNameBytes:
		return fmt.Errorf("longer than %d bytes", maxNameBytes)
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f {
			return errors.New("holds a control character")
		}
	}
	return nil
}

// entry compiles one entry.
func (c *compiler) entry(typ, entry string, list uint32) error {
	switch {
	case len(entry) > MaxEntryBytes:
		return fmt.Errorf("longer than %d bytes", MaxEntryBytes)
	case strings.TrimSpace(entry) == "":
		return errors.New("empty")
	}
	switch typ {
	case "cidr":
		p, err := prefix(strings.TrimSpace(entry))
		if err != nil {
			return err
		}
		old, held := c.set.networks.Get(p)
		c.set.networks.Insert(p, c.join(old, held, list))
	case "hostname":
		host, err := hostname(entry)
		if err != nil {
			return err
		}
		old, held := c.set.hosts[host]
		c.set.hosts[host] = c.join(old, held, list)
	case "substring":
		return c.substring(strings.ToLower(entry), list)
	case "regex":
		return c.expression(entry, list)
	default:
		key := normal(entry)
		old, held := c.set.exact[key]
		c.set.exact[key] = c.join(old, held, list)
	}
	return nil
}

// normal is an entry as a value of ours would be written.
func normal(entry string) string {
	entry = strings.TrimSpace(entry)
	if strings.ContainsAny(entry, ":/") || strings.ContainsFunc(entry, func(r rune) bool { return r >= utf8.RuneSelf }) {
		if v, err := observable.Parse(entry); err == nil && v.Type != observable.Email {
			return strings.ToLower(v.Text)
		}
	}
	return strings.ToLower(entry)
}

// hostname takes the dots off both ends, as MISP does: ".example.com" is
// example.com and what is under it.
func hostname(entry string) (string, error) {
	host := strings.ToLower(strings.Trim(strings.TrimSpace(entry), "."))
	if strings.ContainsAny(host, "/ \t") || host == "" {
		return "", errors.New("no host name")
	}
	return normal(host), nil
}

// prefix reads an address or a network.
func prefix(entry string) (netip.Prefix, error) {
	bad := errors.New("neither an address nor a network")
	if a, err := netip.ParseAddr(entry); err == nil {
		a = a.WithZone("").Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(entry)
	if err != nil {
		return p, bad
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return p, bad
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func (c *compiler) substring(text string, list uint32) error {
	if c.substrings++; c.substrings > MaxSubstrings {
		return limitError{fmt.Sprintf("more than %d substrings in all", MaxSubstrings)}
	}
	c.set.substrings.add(text, c.join(0, false, list))
	return nil
}

// expression compiles /PATTERN/FLAGS as PHP writes it, or a bare pattern.
func (c *compiler) expression(entry string, list uint32) error {
	if len(entry) > MaxExpression {
		return fmt.Errorf("longer than %d bytes", MaxExpression)
	}
	if c.expressions++; c.expressions > MaxExpressions {
		return limitError{fmt.Sprintf("more than %d expressions in all", MaxExpressions)}
	}
	pattern, flags := entry, "i"
	if end := strings.LastIndexByte(entry, entry[0]); end > 0 && strings.IndexByte("/#~!%", entry[0]) >= 0 {
		pattern = entry[1:end]
		for _, f := range entry[end+1:] {
			switch f {
			case 'i', 'u':
			case 'm', 's':
				flags += string(f)
			default:
				return fmt.Errorf("flag %q is not known", f)
			}
		}
	}
	re, err := regexp.Compile("(?" + flags + ")" + pattern)
	if err != nil {
		return fmt.Errorf("not an expression of RE2: %w", err)
	}
	c.set.regexes = append(c.set.regexes, expression{re, entry, list})
	return nil
}

// join gives the group of a group's lists and one more.
func (c *compiler) join(g group, held bool, list uint32) group {
	key := [2]uint32{noGroup, list}
	var members []uint32
	if held {
		key[0], members = uint32(g), c.set.groups[g]
		if slices.Contains(members, list) {
			return g
		}
	}
	if known, ok := c.joined[key]; ok {
		return known
	}
	next := group(len(c.set.groups))
	c.set.groups = append(c.set.groups, append(slices.Clone(members), list))
	c.joined[key] = next
	return next
}
