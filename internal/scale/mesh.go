package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

const (
	governors = 5 // of whom three must approve
	approvals = 3
)

// mesh is the charter, cards, admissions and approvals of a mesh with one node a
// member: real statements, of real size.
type mesh struct {
	id       protocol.MeshID
	keys     []ed25519.PrivateKey // of nodes
	members  []protocol.MemberID  // by node
	orgs     []ed25519.PrivateKey // member keys, by node
	set      *stateSet
	roster   *trust.Roster
	list     []*protocol.Statement
	last     []protocol.StatementID // what made the last member one,
	admitted []protocol.StatementID // and the admission of each, by node
	grant    int                    // bytes of the payload that gives an epoch to all
	stanzas  int                    // of it
	payload  int                    // bytes of a payload of one indicator
}

func newMesh(seed uint64, nodes int) *mesh {
	m := &mesh{keys: keys(seed, nodes)}
	for i := range nodes {
		m.orgs = append(m.orgs, ed25519.NewKeyFromSeed(seedOf("member", seed, i)))
	}
	founders := make([]protocol.Key, 0, governors)
	for _, key := range m.orgs[:governors] {
		founders = append(founders, protocol.KeyOf(key))
	}
	charter := m.say(&protocol.Charter{Name: "scale", Governors: protocol.Sorted(founders), Threshold: approvals}, m.orgs[0])
	m.id = protocol.MeshID(charter.ID())
	for i := range nodes {
		card := m.say(m.card(i), m.orgs[i])
		m.members = append(m.members, protocol.MemberID(card.ID()))
		m.last = []protocol.StatementID{card.ID()}
		if i < governors {
			m.admitted = append(m.admitted, charter.ID())
			continue
		}
		a := m.say(&protocol.Admission{Member: m.members[i], Line: charter.ID(), Card: card.ID()}, m.orgs[0])
		m.last = append(m.last, a.ID())
		m.admitted = append(m.admitted, a.ID())
		for _, by := range m.orgs[:approvals] {
			m.last = append(m.last, m.say(&protocol.Approval{Subject: a.ID()}, by).ID())
		}
	}
	m.last = append(m.last, charter.ID())
	for _, id := range m.members[:governors] {
		m.last = append(m.last, protocol.StatementID(id))
	}
	m.set = newSet(m.list)
	m.roster = trust.Fold(m.id, m.list)
	if n := len(m.roster.Active()); n != nodes {
		panic(fmt.Sprintf("%d of %d members are active", n, nodes))
	}
	m.measure()
	return m
}

func (m *mesh) say(c protocol.Content, by ed25519.PrivateKey) *protocol.Statement {
	s := must(protocol.NewStatement(m.id, c, 1_795_341_600_000+int64(len(m.list)), by))
	m.list = append(m.list, s)
	return s
}

// card is a first card as `tipmesh init` makes it. Its recipients have the length
// of real ones.
func (m *mesh) card(i int) *protocol.Card {
	recipient := func(what string) string {
		return "age1pq1" + strings.Repeat(fmt.Sprintf("%x", seedOf(what, 0, i)), 31)[:1952]
	}
	next := sha256.Sum256(seedOf("next", 0, i))
	return &protocol.Card{Version: 1, Handle: fmt.Sprintf("member-%d", i), Name: fmt.Sprintf("Member %d of a sharing alliance", i),
		Contact: fmt.Sprintf("soc@member-%d.example", i), Identity: fmt.Sprintf("identity--00000000-0000-4000-8000-%012d", i),
		Sectors: []string{"energy"}, Regions: []string{"western-europe"}, Recipient: recipient("member"), NextKey: next,
		Nodes: []protocol.CardNode{{Key: protocol.KeyOf(m.keys[i]), Recipient: recipient("node")}}}
}

// measure seals real payloads to find out how long they are.
func (m *mesh) measure() {
	id := must(seal.NewIdentity())
	epoch := must(protocol.Epoch{Mesh: m.id, Audience: protocol.Everyone(m.id), Maker: m.members[0], State: m.roster.Digest(),
		Departures: []protocol.Hash{{1}}, Readers: protocol.Sorted(slices.Clone(m.members)), Identity: id.String(), Time: 1_795_341_600_000}.Sign(m.keys[0]))
	readers := len(m.members) - 2 // neither the maker nor who was removed
	m.stanzas = 1 << bits.Len(uint(readers-1))
	// One recipient, and the stanzas that more would take: those are all alike.
	one := len(must(seal.Direct(protocol.NewGrant(epoch), []string{id.Recipient()})))
	two := len(must(seal.Direct(protocol.NewGrant(epoch), []string{id.Recipient(), must(seal.NewIdentity()).Recipient()})))
	m.grant = one + (m.stanzas-1)*(two-one)
	m.payload = len(must(seal.Bundle([]byte(bundle), id)))
}

// removal gives the statements that remove a member, the approvals of three
// governors last.
func (m *mesh) removal(victim int) (list []*protocol.Statement) {
	r := must(protocol.NewStatement(m.id, &protocol.Removal{Member: m.members[victim], Admission: m.admitted[victim],
		Line: protocol.StatementID(m.id), Why: "left the alliance"}, 1_795_341_700_000, m.orgs[0]))
	list = append(list, r)
	for _, by := range m.orgs[:approvals] {
		list = append(list, must(protocol.NewStatement(m.id, &protocol.Approval{Subject: r.ID()}, 1_795_341_700_001, by)))
	}
	return list
}

// place is a member's place among all that are not gone.
func (m *mesh) place(node int, gone map[int]bool) (place int) {
	for i, id := range m.members {
		if !gone[i] && id.Compare(m.members[node]) < 0 {
			place++
		}
	}
	return place
}

// bundle is a share of one indicator with its context.
const bundle = `{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[` +
	`{"type":"identity","spec_version":"2.1","id":"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff","created":"2026-11-22T10:00:00.000Z",` +
	`"modified":"2026-11-22T10:00:00.000Z","name":"Member 1 of a sharing alliance","identity_class":"organization"},` +
	`{"type":"indicator","spec_version":"2.1","id":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","created_by_ref":` +
	`"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff","created":"2026-11-22T10:00:00.000Z","modified":"2026-11-22T10:00:00.000Z",` +
	`"name":"update.example.net","description":"Command and control of a loader seen in two intrusions","indicator_types":["malicious-activity"],` +
	`"pattern":"[domain-name:value = 'update.example.net']","pattern_type":"stix","valid_from":"2026-11-20T00:00:00Z",` +
	`"kill_chain_phases":[{"kill_chain_name":"mitre-attack","phase_name":"command-and-control"}],"confidence":80,` +
	`"object_marking_refs":["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"]},` +
	`{"type":"malware","spec_version":"2.1","id":"malware--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061","created":"2026-11-22T10:00:00.000Z",` +
	`"modified":"2026-11-22T10:00:00.000Z","name":"Loader","is_family":true},` +
	`{"type":"relationship","spec_version":"2.1","id":"relationship--57b56a43-b8b0-4cba-9deb-34e3e1faed9e","created":"2026-11-22T10:00:00.000Z",` +
	`"modified":"2026-11-22T10:00:00.000Z","relationship_type":"indicates","source_ref":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",` +
	`"target_ref":"malware--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061"}]}`
