package main

import (
	"fmt"
	"math"
	"strings"
)

// series is one line of a plot.
type series struct {
	name   string
	colour string
	at     func(*result) float64
}

// panel is one plot: both axes go by powers of ten.
type panel struct {
	title, unit string
	label       func(float64) string
	series      []series
}

var panels = []panel{
	{"until the last node holds it", "ms", axis, []series{
		{"one indicator", "#0b6e99", func(r *result) float64 { return ms(r.Small[0]) }},
		{"5 % lost", "#8a63d2", func(r *result) float64 { return ms(r.Small[2]) }},
		{"100 KiB", "#2e8b57", func(r *result) float64 { return ms(r.Bulk) }},
		{"epoch after a removal", "#c0392b", func(r *result) float64 { return float64(r.Online.Ready.Max.Milliseconds()) }},
	}},
	{"bytes that a node sends", "bytes", func(v float64) string { return size(v) }, []series{
		{"a second at rest", "#0b6e99", func(r *result) float64 { return r.Idle }},
		{"one indicator, sync", "#8a63d2", func(r *result) float64 { return r.Small[0].Sync }},
		{"one indicator, gossip", "#2e8b57", func(r *result) float64 { return r.Small[0].Gossip }},
		{"one removal", "#c0392b", func(r *result) float64 { return r.Online.PerNode }},
	}},
}

// axis prints milliseconds.
func axis(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%g s", v/1000)
	}
	return fmt.Sprintf("%g ms", v)
}

func ms(c cost) float64 { return float64(c.Times.Max.Milliseconds()) }

const (
	wide, high = 430, 320 // of a panel,
	left, top  = 64, 40   // of its frame
	inside     = 330      // wide,
	tall       = 200      // high
)

// plot draws the panels beside each other.
func plot(results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		2*wide, high+50, 2*wide, high+50)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", 2*wide, high+50)
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d,0)">`+"\n", i*wide)
		p.draw(&b, results)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p panel) draw(b *strings.Builder, results []result) {
	least, most := math.Inf(1), 1.0
	for _, s := range p.series {
		for i := range results {
			if v := s.at(&results[i]); v > 0 {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	low, up := math.Floor(math.Log10(min(least, most))), math.Ceil(math.Log10(most))
	up = max(up, low+1)
	first, last := math.Log10(float64(results[0].Nodes)), math.Log10(float64(results[len(results)-1].Nodes))
	x := func(nodes int) float64 {
		return left + inside*(math.Log10(float64(nodes))-first)/max(last-first, 1e-9)
	}
	y := func(v float64) float64 { return top + tall*(1-(math.Log10(max(v, math.Pow(10, low)))-low)/(up-low)) }
	fmt.Fprintf(b, `<text x="%d" y="22" font-size="13" font-weight="bold">%s</text>`+"\n", left, p.title)
	for e := low; e <= up; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, left+inside, y(v), y(v), left-6, y(v)+4, p.label(v))
	}
	for _, r := range results {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(r.Nodes), top+tall+16, grouped(r.Nodes))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">nodes</text>`+"\n", left+inside/2, top+tall+32)
	for i, s := range p.series {
		var points []string
		for j := range results {
			px, py := x(results[j].Nodes), y(s.at(&results[j]))
			points = append(points, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", px, py, s.colour)
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(points, " "), s.colour)
		kx, ky := left+i%2*170, top+tall+52+i/2*18
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", kx, ky-9, s.colour, kx+15, ky, s.name)
	}
}
