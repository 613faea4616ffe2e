package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
)

// Whoever signs house rules sees each of them, and that it changes.
func TestRulesChangeShowsEveryRule(t *testing.T) {
	var fields func(v reflect.Value, fn func(name string, v reflect.Value))
	fields = func(v reflect.Value, fn func(string, reflect.Value)) {
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Struct {
				fields(f, fn)
			} else {
				fn(v.Type().Field(i).Name, f)
			}
		}
	}
	starred := func(lines []string) (n int) {
		for _, l := range lines {
			if strings.HasPrefix(l, "* ") {
				n++
			}
		}
		return n
	}
	before := protocol.Rules{TLP: "green", Text: "old\nkept\n"}
	if same := rulesChange(&before, before); starred(same) != 0 {
		t.Errorf("nothing changes: %q", same)
	}
	after := before
	fields(reflect.ValueOf(&after).Elem(), func(name string, v reflect.Value) {
		was := reflect.ValueOf(v.Interface())
		if v.Kind() == reflect.String {
			v.SetString("amber\nkept\n")
		} else {
			v.SetUint(1)
		}
		if got := rulesChange(&before, after); starred(got) == 0 {
			t.Errorf("%s changes, and nobody is told: %q", name, got)
		}
		v.Set(was)
	})
	after.Text = "kept\nnew\n"
	got := rulesChange(&before, after)
	for _, want := range []string{"  - old", "    kept", "  + new"} {
		if !slices.Contains(got, want) {
			t.Errorf("no line %q in %q", want, got)
		}
	}
}
