package demo

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed facts/vpnfilter.json
var vpnfilterFile []byte

// facts are the published indicators, live.
type facts struct {
	SHA256 []string `json:"sha256"`
	Domain []string `json:"domain"`
	URL    []string `json:"url"`
	IPv4   []string `json:"ipv4"`
	Onion  []string `json:"onion"`
}

func vpnfilter() (*facts, error) {
	f := new(facts)
	if err := json.Unmarshal(vpnfilterFile, f); err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	return f, nil
}

// values lists all of them.
func (f *facts) values() []string {
	var out []string
	for _, list := range [][]string{f.SHA256, f.Domain, f.URL, f.IPv4, f.Onion} {
		out = append(out, list...)
	}
	return out
}

// routineCount is how many routine indicators a member shares.
const routineCount = 400

// routine makes up a member's routine indicators: hashes of files that do not
// exist, since any made-up name or address could be somebody's.
func routine(handle string) []string {
	out := make([]string, routineCount)
	for i := range out {
		sum := sha256.Sum256(fmt.Appendf(nil, "tipmesh demo %s %d", handle, i))
		out[i] = hex.EncodeToString(sum[:])
	}
	return out
}

// list writes values as a file of one a line.
func list(values []string) string { return strings.Join(values, "\n") + "\n" }
