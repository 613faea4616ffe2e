package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/tipmesh/tipmesh/internal/api"
)

// sayForce says from when to when an object holds, and where in an attack it
// belongs.
func sayForce(gopts *GlobalOptions, o *api.Object) {
	if o.Gone {
		gopts.sayf("  gone      its payload was erased: it was withdrawn or has expired")
	}
	line := ""
	if !o.ValidFrom.IsZero() {
		line = day(o.ValidFrom) + " to "
		if o.ValidUntil.IsZero() {
			line += "no date said"
		} else {
			line += day(o.ValidUntil)
		}
	}
	if len(o.KillChain) > 0 {
		if line != "" {
			line += "        "
		}
		line += "kill chain  " + clean(strings.Join(o.KillChain, ", "))
	}
	if line != "" {
		gopts.sayf("  valid     %s", line)
	}
}

// sayThread says what members said about an object: a line or two each, or all of
// it.
func sayThread(gopts *GlobalOptions, list []api.Said, whole bool) {
	const indent = 22
	for _, t := range list {
		what := ""
		switch t.What {
		case api.WhatOpinion:
			what = clean(t.Says)
		case api.WhatSeen:
			what = "seen " + plural(t.Count, "time", "times")
			if !t.First.IsZero() && !t.Last.IsZero() {
				what += ", " + day(t.First) + " to " + day(t.Last)
			}
		}
		text := clean(t.Text)
		if !whole {
			text = cut(text, 160)
		}
		switch {
		case text != "" && what != "":
			what += fmt.Sprintf(": %q", text)
		case text != "":
			what = fmt.Sprintf("%q", text)
		}
		if t.RelayedFrom != "" {
			what += " (relayed, written by " + clean(t.RelayedFrom) + ")"
		}
		gopts.sayf("  %s  %-5s  %s", minute(t.Time), nameOf(&t.Member), wrap(strings.Fields(what), "", 80, indent))
	}
}

func sayRelations(gopts *GlobalOptions, list []api.Relation) {
	if len(list) == 0 {
		return
	}
	gopts.sayf("Related")
	for _, r := range list[:min(len(list), listed)] {
		kind := clean(r.Type)
		if !r.Out {
			kind = "<- " + kind
		}
		says := clean(r.Other.Says)
		if r.Other.Withdrawn {
			says = "withdrawn"
		}
		gopts.sayf("  %-12s  %s  %s", kind, clean(r.Other.Ref), cut(says+" (says "+nameOf(&r.Member)+")", 44))
	}
	if more := len(list) - listed; more > 0 {
		gopts.sayf("  and %s more: --json lists them", grouped(more))
	}
}

// writeSTIX writes an object as its author wrote it, indented, to a new file or over
// one.
func writeSTIX(gopts *GlobalOptions, path string, o *api.Object) error {
	var b bytes.Buffer
	if err := json.Indent(&b, o.STIX, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return fail(api.CodeInvalid, "", "%v", err)
	}
	if gopts.JSON {
		return gopts.print(o)
	}
	gopts.sayf("Wrote %s to %s, TLP:%s, live values", clean(o.Ref), path, upper(o.Handling.TLP))
	return nil
}

// runShowDiff compares two versions.
func runShowDiff(ctx context.Context, gopts *GlobalOptions, args []string) error {
	for _, v := range args[1:] {
		if n, err := strconv.Atoi(v); err != nil || n < 1 {
			return fail(api.CodeInvalid, "as --diff 1 2", "%q is no version", v)
		}
	}
	return gopts.withClient(func(c *api.Client) error {
		d, err := c.Diff(ctx, args[0], args[1], args[2])
		if err != nil {
			return err
		}
		if gopts.JSON {
			if err := gopts.print(d); err != nil {
				return err
			}
			return exit(d.Exit())
		}
		gopts.sayf("%s", gopts.bold(fmt.Sprintf("%s   by %s, version %d to %d", clean(d.Ref), nameOf(&d.Member), d.From.N, d.To.N)))
		for _, x := range d.Changes {
			gopts.sayf("  %s", clean(x.Field))
			for _, side := range []struct {
				sign string
				raw  json.RawMessage
			}{{"-", x.Was}, {"+", x.Is}} {
				if side.raw != nil {
					gopts.sayf("    %s %s", side.sign, jsonText(gopts, side.raw))
				}
			}
		}
		if len(d.Changes) == 0 {
			gopts.sayf("  no difference")
		}
		return exit(d.Exit())
	})
}

// jsonText shows a JSON value on a line: a text without its quotes, defanged.
func jsonText(gopts *GlobalOptions, raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	return gopts.shown(cut(clean(text), 400))
}
