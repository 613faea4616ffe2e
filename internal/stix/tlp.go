package stix

import (
	"fmt"
	"strings"
	"time"
)

// TLP is a Traffic Light Protocol 2.0 label; "" is unknown.
type TLP string

// The labels of TLP 2.0 (FIRST, 2022), from the most open.
const (
	TLPClear       TLP = "clear"
	TLPGreen       TLP = "green"
	TLPAmber       TLP = "amber"
	TLPAmberStrict TLP = "amber+strict"
	TLPRed         TLP = "red"
)

// TLPs lists the five labels, from the most open to the most closed.
func TLPs() []TLP { return []TLP{TLPClear, TLPGreen, TLPAmber, TLPAmberStrict, TLPRed} }

// ExtensionTLP is the extension that carries TLP 2.0 in STIX 2.1, published
// by OASIS.
const ExtensionTLP = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"

// tlp2 are the fixed ids of the TLP 2.0 markings, tlp1 those of STIX 2.1
// section 7.2.1.4. TLP 1's amber named clients as well, so it is amber.
var tlp2 = map[TLP]string{
	TLPClear:       "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
	TLPGreen:       "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
	TLPAmber:       "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
	TLPAmberStrict: "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
	TLPRed:         "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}

// ParseTLP reads a label as people and other programs write it: any case,
// with or without "TLP:", spaces or hyphens for the plus, TLP 1's white.
func ParseTLP(s string) (TLP, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	t = strings.TrimSpace(strings.TrimPrefix(t, "tlp"))
	t = strings.TrimSpace(strings.TrimLeft(t, ":-_"))
	switch strings.NewReplacer(" ", "", "-", "", "_", "", "+", "").Replace(t) {
	case "clear", "white":
		return TLPClear, nil
	case "green":
		return TLPGreen, nil
	case "amber":
		return TLPAmber, nil
	case "amberstrict":
		return TLPAmberStrict, nil
	case "red":
		return TLPRed, nil
	}
	return "", fmt.Errorf("parse TLP %.40q: not clear, green, amber, amber+strict or red", s)
}

// Rank orders the labels: 0 unknown, 1 clear … 5 red. A higher rank may go to
// fewer people.
func (t TLP) Rank() int {
	switch t {
	case TLPClear:
		return 1
	case TLPGreen:
		return 2
	case TLPAmber:
		return 3
	case TLPAmberStrict:
		return 4
	case TLPRed:
		return 5
	}
	return 0
}

// String gives the label as TLP 2.0 spells it: "TLP:AMBER+STRICT".
func (t TLP) String() string {
	if t == "" {
		return ""
	}
	return "TLP:" + strings.ToUpper(string(t))
}

// MarkingID is the fixed id of the label's marking definition, "" if unknown.
func (t TLP) MarkingID() string { return tlp2[t] }

// Marking is the label's marking definition in full, the zero Object if the
// label is unknown. It is the same for everybody and is put into each bundle
// that refers to it.
func (t TLP) Marking() Object {
	id := tlp2[t]
	if id == "" {
		return Object{}
	}
	raw := `{"type":"marking-definition","spec_version":"2.1","id":"` + id +
		`","created":"2022-10-01T00:00:00.000Z","name":"` + t.String() +
		`","extensions":{"` + ExtensionTLP + `":{"extension_type":"property-extension","tlp_2_0":"` + string(t) + `"}}}`
	return Object{Type: "marking-definition", ID: id, Created: time.Date(2022, 10, 1, 0, 0, 0, 0, time.UTC), Raw: []byte(raw)}
}

// TLPOfMarking names the label that a marking id stands for, TLP 2.0 or TLP
// 1; "" if it is another marking.
func TLPOfMarking(id string) TLP {
	switch id {
	case "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
		"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9":
		return TLPClear
	case "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
		"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da":
		return TLPGreen
	case "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
		"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82":
		return TLPAmber
	case "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003":
		return TLPAmberStrict
	case "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
		"marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed":
		return TLPRed
	}
	return ""
}
