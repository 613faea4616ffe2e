package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/node"
)

// report is docs/scale.md.
func report(p plan, seed uint64, results []result, at time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Scale\n")
	line("What a mesh of up to %s members costs, by simulation. This page and its plot are written by\n", grouped(p.sizes[len(p.sizes)-1]))
	line("```\ngo run ./internal/scale            # -quick: meshes of up to 100 nodes; -seed N; -out FOLDER\n```\n")
	line("Made on %s with seed %d, on %s with %d processors (%s). It takes some three and a half minutes of processor time, spread over two, and 4 GB",
		at.UTC().Format("2006-01-02"), seed, processor(), runtime.NumCPU(), runtime.Version())
	line("of memory. With one seed all figures are the same again but the times and sizes of a fold, which are of that machine.\n")
	b.WriteString(models)
	line("![time and bytes by number of nodes](scale.svg)\n")
	spreadTable(line, results)
	byteTable(line, results)
	removalTable(line, results)
	goneTable(line, results)
	newcomerTable(line, p, results)
	line("## Roster\n")
	line("| nodes | statements | of so many bytes | fold | memory it keeps |\n|---:|---:|---:|---:|---:|")
	for _, r := range results {
		line("| %s | %s | %s | %s | %s |", grouped(r.Nodes), grouped(r.Statements), size(r.StatementBytes), took3(r.Fold), size(r.FoldBytes))
	}
	line("\nThe roster is folded anew when statements have come, however many came together.")
	return b.String()
}

// models says what of it is real.
var models = fmt.Sprintf(`## What is simulated

Real: the sync machine of each node (`+"`protocol/replica`"+`), its requests and answers with their encoded lengths, signed headers, statements and
epochs of full length (one node and three approvals a member, %d governors), lengths of sealed payloads, the choice of neighbours and the waiting for epochs (`+"`node`"+`).

Models:

- Network: nodes at random places of a map, 5 to 150 ms apart one way, 10 ms of jitter; 20 %% of them on lines of 20 Mbit/s, 50 %% of 100 Mbit/s, 30 %% of 1 Gbit/s.
- Loss: a gossip message is lost with the given chance on each link; a message on a stream is late by 200 ms and a round trip with the same chance.
- Gossipsub: sent to all neighbours by its author, passed on in a mesh of degree %d to %d; what it tells others of messages it has is counted, asking for them is not needed.
- Disk: 2 to 15 ms for a synced write. A fold takes 5 µs a statement, a letter 0.2 ms a stanza.
- Bytes are those inside libp2p's streams: its framing, encryption, pings and TCP come on top.

Up to 32 other nodes, each links to all. Beyond that it links to those at distances of powers of two in the ring of all nodes and to four by a secret of its own, and to
one more for each that fails, up to 32; others link to it likewise.

`, governors, gossipDegree, gossipMost)

type liner = func(string, ...any)

func spreadTable(line liner, results []result) {
	line("## Time from writing an entry to the nodes holding it\n")
	line("Milliseconds: median / 99th percentile / last node. The entry is on disk at both ends. One indicator is a payload of some 2.3 kB, which gossip carries;")
	line("one of 100 KiB goes by sync, from node to node.\n")
	line("| nodes | links, mean (most) | one indicator | 1 %% lost | 5 %% lost | 10 %% of the nodes down | 100 KiB |\n|---:|---:|---:|---:|---:|---:|---:|")
	missed := 0
	for _, r := range results {
		cells := []string{}
		for _, t := range []times{r.Small[0].Times, r.Small[1].Times, r.Small[2].Times, r.Down, r.Bulk.Times} {
			cells = append(cells, fmt.Sprintf("%d / %d / %d", t.P50.Milliseconds(), t.P99.Milliseconds(), t.Max.Milliseconds()))
			missed += t.Missed
		}
		line("| %s | %.1f (%d) | %s |", grouped(r.Nodes), r.Links, r.MostLinks, strings.Join(cells, " | "))
	}
	line("\nEntries that a node did not have after half a minute: %d.\n", missed)
}

func byteTable(line liner, results []result) {
	line("## Bytes\n")
	line("What a node sends, in the mean. At rest it says hello to each neighbour every 30 to 60 s; the goal is under 2 kB/s. The test `TestIdleMesh` of")
	line("`protocol/replica` holds 30 nodes to it, and `TestLossCostsWhatWasLost` holds sync to 1.2 times what gossip lost.\n")
	line("| nodes | at rest, a second | one indicator: gossip | and sync | 100 KiB: all | to its size |\n|---:|---:|---:|---:|---:|---:|")
	for _, r := range results {
		all := r.Bulk.Gossip + r.Bulk.Sync
		line("| %s | %s | %s | %s | %s | %.2f |", grouped(r.Nodes), size(r.Idle), size(r.Small[0].Gossip), size(r.Small[0].Sync), size(all), all/bulk)
	}
	line("\nOf gossip, at most %s are gossipsub's telling its other neighbours what it has; the rest is some ten copies of the entry. At one entry a second in the whole\n"+
		"mesh a node of 1,000 sends some 34 kB a second.\n", size(gossipLazy*gossipBeats*gossipIHave))
}

func removalTable(line liner, results []result) {
	line("## One removal\n")
	line("The governor's node that completes it makes the new epoch at once and grants it to all in one entry. Seconds: median / last node. A tenth of the members write")
	line("in the five seconds after.\n")
	line("| nodes | statements (bytes) | known to all | epochs | grant | new epoch at the nodes | a share waits at most | bytes a node sends | and the busiest |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, r := range results {
		o := r.Online
		line("| %s | %d (%d) | %s | %d | %s | %s / %s | %s | %s | %s |", grouped(r.Nodes), o.Statements, o.StatementBytes, seconds(o.Known.Max), o.Epochs,
			size(o.Grant), seconds(o.Ready.P50), seconds(o.Ready.Max), seconds(o.Blocked.Max), size(o.PerNode), size(o.Busiest))
	}
	line("\nA grant has a stanza of 1.6 kB for each reader, their number padded to a power of two, and an epoch that names the readers. Each node gets it once and stores it;")
	line("the busiest is its maker, whom all its neighbours ask first: where its line is slow, nodes and shares wait. It is one entry for the whole mesh, never one for each member. More than 1,024 readers are not possible.\n")
	line("Cheaper would be: a tree of keys as in MLS (RFC 9420), some twenty stanzas a removal, for state that all must keep in step without a server, concurrent")
	line("removals included; stanzas without ML-KEM, a tenth of the bytes, and readable by whoever stores them until there are quantum computers; or a stanza handed to each reader")
	line("by a neighbour, who must be trusted with the epoch anyway: no broadcast, but nobody can be sealed for while no neighbour is up. At a removal a month the grants of a year")
	line("are some 20 MB a node for 1,000 members: not worth any of them.\n")
}

func goneTable(line liner, results []result) {
	line("## A removal whose completer is gone\n")
	line("The node that completed it stops half a second later, without an epoch made. The first %d members in order make one after 10 s, 15 s, 20 s and so on if none has come,", node.StandIns)
	line("whether they write or not; another that wants to write waits longer the higher its place, up to %s for the last of 1,024. The nodes that stopped before stay members. The worst of some removals:\n",
		node.EpochPatience(epochWait, 1023).Round(time.Second))
	line("| nodes | writers | removals | epochs made, most | a share waits, median | most | bytes a node sends |\n|---:|---|---:|---:|---:|---:|---:|")
	for _, r := range results {
		for i, list := range r.Offline {
			if len(list) == 0 {
				continue
			}
			epochs, mid, worst, bytes := 0, time.Duration(0), time.Duration(0), 0.0
			for _, o := range list {
				epochs, mid, worst, bytes = max(epochs, o.Epochs), max(mid, o.Blocked.P50), max(worst, o.Blocked.Max), max(bytes, o.PerNode)
			}
			line("| %s | %s | %d | %d | %s s | %s s | %s |", grouped(r.Nodes), []string{"one", "10 %", "all"}[i], len(list), epochs, seconds(mid), seconds(worst), size(bytes))
		}
	}
	line("\nWhere two were made both are good; writers use the one of the lower identifier.\n")
}

func newcomerTable(line liner, p plan, results []result) {
	line("## A newcomer's first sync\n")
	line("It knows one neighbour and the charter. The others are dialled once it finds itself in the roster. There are %s entries of one indicator and %d grants of past", grouped(p.history), departed)
	line("removals; its line has 100 Mbit/s. The share is that of the neighbour that brought least and most, of what an even share would be.\n")
	line("| nodes | neighbours | statements | came | roster known after | entries | of bytes | came | all there after | share |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, r := range results {
		n := r.Newcomer
		line("| %s | %d | %s | %.2f times | %s s | %s | %s | %.2f times | %s s | %.1f to %.1f |", grouped(r.Nodes), n.Neighbours, grouped(r.Statements),
			float64(n.StatementSync)/float64(r.StatementBytes), seconds(n.Roster), grouped(n.Entries), size(n.EntryBytes),
			float64(n.EntrySync)/float64(n.EntryBytes), seconds(n.All), n.Least, n.Most)
	}
	line("\nOne answer has at most 1,024 statements. Where there are more, the neighbours that are dialled while the last of them come are asked for those too.\n")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

func took3(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

// size is a number of bytes with three digits that count.
func size[N int | int64 | uint64 | float64](n N) string {
	f, unit := float64(n), 0
	for f >= 999.5 && unit < 3 {
		f, unit = f/1000, unit+1
	}
	digits := 0
	if unit > 0 {
		digits = max(2-int(math.Log10(max(f, 1))), 0)
	}
	return fmt.Sprintf("%.*f %s", digits, f, []string{"B", "kB", "MB", "GB"}[unit])
}

func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// processor names the machine's, where Linux tells.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for l := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(l, "model name"); ok {
				return strings.TrimSpace(strings.TrimLeft(name, " \t:"))
			}
		}
	}
	return runtime.GOARCH
}
