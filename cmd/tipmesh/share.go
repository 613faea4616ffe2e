package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/intake"
	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/protocol"
)

// ShareOptions are the flags of share.
type ShareOptions struct {
	To, TLP, Action, Malware, Title, First, Last, Expires, Wait string
	Keep                                                        string
	Confidence                                                  int
	Timeout                                                     durationFlag
}

func newShareCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &ShareOptions{Timeout: durationFlag(30 * time.Second)}
	cmd := &cobra.Command{
		Use:   "share FILE|-|VALUE...",
		Short: "Share indicators with members",
		Long: `Share what a file holds: a STIX 2.1 or 2.0 bundle, a list of values, or text,
defanged or not. "-" reads standard input; values can be given instead of a
file. What goes, what stays behind and why, and who gets it is shown first, then
asked.`,
		Example: example(
			"tipmesh share report.md --to everyone --tlp amber --malware VPNFilter",
			"tipmesh share toknowall[.]com --to everyone --action detect",
			"tipmesh share notes.txt --to @resolvers --tlp amber",
			"grep -h block *.txt | tipmesh share - --to everyone --yes --wait all"),
		Args: countArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error { return runShare(cmd.Context(), opts, gopts, args) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.To, "to", "", "who receives it: everyone or `@GROUP`")
	f.StringVar(&opts.TLP, "tlp", "", "clear, green, amber, amber+strict, red (else rules)")
	f.StringVar(&opts.Action, "action", "", "block, detect or none (default detect)")
	f.StringVar(&opts.Malware, "malware", "", "malware `family` it indicates")
	f.StringVar(&opts.Title, "title", "", "what the share is called")
	f.StringVar(&opts.First, "first", "", "when it was first seen: `time`, or how long ago")
	f.StringVar(&opts.Last, "last", "", "when it was last seen: `time`, or how long ago")
	f.StringVar(&opts.Expires, "expires", "", "until when it holds: `time` or a duration as 14d")
	f.StringVar(&opts.Keep, "keep", "0", "all let it go after so many weeks, as 4w; 0: never")
	f.IntVar(&opts.Confidence, "confidence", 0, "how sure you are, 1 to 100")
	f.StringVar(&opts.Wait, "wait", "none", "until others hold it: all, none or `N`")
	f.Var(&opts.Timeout, "timeout", "how long to wait at most")
	return cmd
}

func runShare(ctx context.Context, opts *ShareOptions, gopts *GlobalOptions, args []string) error {
	if opts.To == "" {
		return fail(api.CodeInvalid, "tipmesh share "+clean(args[0])+" --to everyone",
			"nobody would receive this: add --to everyone or --to @GROUP")
	}
	req, err := opts.request(time.Now())
	if err != nil {
		return err
	}
	body, name, err := gopts.input(args)
	if err != nil {
		return err
	}
	req.Name = name
	return gopts.withClient(func(c *api.Client) error {
		if gopts.DryRun || !gopts.Yes {
			preview, err := share(ctx, gopts, c, req, body, true)
			if err != nil {
				return err
			}
			if gopts.DryRun && gopts.JSON {
				return gopts.print(preview)
			}
			previewShare(gopts, preview, name)
			if ok, err := gopts.confirm("Share?"); !ok || err != nil {
				return err
			}
		}
		done, err := share(ctx, gopts, c, req, body, false)
		if err != nil {
			return err
		}
		if gopts.JSON {
			if err := gopts.print(done); err != nil {
				return err
			}
			return exit(done.Exit())
		}
		if gopts.Yes {
			previewShare(gopts, done, name)
		}
		sayShare(gopts, done)
		return exit(done.Exit())
	})
}

// request turns the flags into a request.
func (o *ShareOptions) request(now time.Time) (req api.ShareRequest, err error) {
	req = api.ShareRequest{To: o.To, TLP: strings.TrimPrefix(strings.ToLower(o.TLP), "tlp:"),
		Action: o.Action, Malware: o.Malware, Title: o.Title, Confidence: o.Confidence, Wait: o.Wait, Timeout: time.Duration(o.Timeout)}
	if o.Confidence < 0 || o.Confidence > 100 {
		return req, fail(api.CodeInvalid, "", "confidence %d is not between 1 and 100", o.Confidence)
	}
	if req.KeepWeeks, err = weeks(o.Keep); err != nil {
		return req, err
	}
	for _, f := range []struct {
		text string
		past bool
		to   *time.Time
	}{{o.First, true, &req.First}, {o.Last, true, &req.Last}, {o.Expires, false, &req.Expires}} {
		if f.text == "" {
			continue
		}
		if *f.to, err = moment(f.text, now, f.past); err != nil {
			return req, err
		}
	}
	return req, nil
}

// weeks reads a number of weeks as 4w.
func weeks(text string) (uint64, error) {
	if text == "" || text == "0" {
		return 0, nil
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(text, "w"), 10, 16)
	if err != nil || !strings.HasSuffix(text, "w") || n > protocol.MaxRetention {
		return 0, fail(api.CodeInvalid, "", "%q is no number of weeks: want 1w to %dw, or 0 for good", text, protocol.MaxRetention)
	}
	return n, nil
}

// input gives what to share, and its name.
func (g *GlobalOptions) input(args []string) (body []byte, name string, err error) {
	if len(args) == 1 && args[0] == "-" {
		body, err = readInput("standard input", g.stdin)
		return body, "standard input", err
	}
	var values []string
	for _, arg := range args {
		f, err := os.Open(arg)
		switch {
		case err == nil && len(args) > 1:
			f.Close()
			return nil, "", fail(api.CodeInvalid, "cat the files together and share -", "one file at a time: %s is a file", arg)
		case err == nil:
			defer f.Close()
			if info, err := f.Stat(); err == nil && info.IsDir() {
				return nil, "", fail(api.CodeInvalid, "", "%s is a folder", arg)
			}
			body, err = readInput(arg, f)
			return body, filepath.Base(arg), err
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) && !tooLong(err):
			return nil, "", fail(api.CodeInvalid, "", "%v", err)
		}
		if _, err := observable.Parse(arg); err != nil || namesFile(arg) {
			return nil, "", fail(api.CodeInvalid, "", "%s: there is no such file, and no value to share", arg)
		}
		values = append(values, arg)
	}
	return []byte(strings.Join(values, "\n") + "\n"), "values", nil
}

func tooLong(err error) bool {
	return strings.Contains(err.Error(), "file name too long") || strings.Contains(err.Error(), "not a directory")
}

// namesFile tells a mistyped file's name from a domain of Moldova or the like.
func namesFile(arg string) bool {
	return slices.Contains([]string{".md", ".txt", ".json", ".csv", ".stix", ".stix2", ".adoc", ".zip", ".py", ".sh"},
		strings.ToLower(filepath.Ext(arg))) && !strings.Contains(arg, "://")
}

func readInput(name string, r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if info.Size() > intake.MaxInput {
				return nil, tooLarge(name)
			}
			b.Grow(int(info.Size()) + bytes.MinRead)
		}
	}
	if _, err := io.Copy(&b, io.LimitReader(r, intake.MaxInput+1)); err != nil {
		return nil, fail(api.CodeInvalid, "", "read %s: %v", name, err)
	}
	if b.Len() > intake.MaxInput {
		return nil, tooLarge(name)
	}
	return b.Bytes(), nil
}

func tooLarge(name string) error {
	return fail(api.CodeInvalid, "split it", "%s: more than %d MiB", name, intake.MaxInput>>20)
}

// counted counts what has been read of a body.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// share makes the one call of both preview and share.
func share(ctx context.Context, gopts *GlobalOptions, c *api.Client, req api.ShareRequest, body []byte, dry bool) (*api.Share, error) {
	r := &counted{Reader: bytes.NewReader(body)}
	req.Body, req.DryRun = r, dry
	verb := "sharing"
	if dry {
		verb = "reading"
	}
	stop := gopts.progress(ctx, func() string {
		if n := r.n.Load(); n < int64(len(body)) {
			return fmt.Sprintf("%s: %s of %s", verb, bytesText(uint64(n)), bytesText(uint64(len(body))))
		}
		return verb
	})
	defer stop()
	return c.Share(ctx, req)
}

// mayDo says what a TLP label lets receivers do.
func mayDo(tlp string) string {
	switch tlp {
	case "clear":
		return "tell anyone"
	case "green":
		return "pass it on inside the community"
	case "amber":
		return "pass it to their clients"
	case "amber+strict":
		return "keep it inside their organisation"
	case "red":
		return "show it to named people only"
	}
	return ""
}

func previewShare(gopts *GlobalOptions, s *api.Share, name string) {
	gopts.previewf("Read %s as %s.", clean(name), clean(s.Format))
	total := 0
	var parts []string
	for _, t := range sortedByCount(s.Found) {
		parts = append(parts, fmt.Sprintf("%s %s", clean(t), grouped(s.Found[t])))
		total += s.Found[t]
	}
	parts = append(parts, plural(total, "in all", "in all"))
	gopts.previewf("  %s", wrap(parts, "  ", 80, 2))
	if len(s.LeftOut) > 0 {
		gopts.previewf("Left out %s", grouped(len(s.LeftOut)))
		for _, l := range s.LeftOut[:min(len(s.LeftOut), listed)] {
			gopts.previewf("  %s", leftOutLine(l))
		}
		if more := len(s.LeftOut) - listed; more > 0 {
			gopts.previewf("  and %s more: --json lists them", grouped(more))
		}
	}
	for _, w := range s.Warnings {
		gopts.previewf("Mind      %s", wrap(strings.Fields(clean(w.Text)), "", 80, 10))
	}
	to := make([]string, len(s.Audience.Members))
	for i, m := range s.Audience.Members {
		to[i] = clean(m.Name)
	}
	if len(to) == 0 {
		to = []string{"nobody yet"}
	}
	gopts.previewf("Goes to   %s (%s, %d)", wrap(to, ",", 66, 10), clean(s.Audience.Name), len(s.Audience.Members))
	line := "They may  TLP:" + strings.ToUpper(clean(s.TLP))
	if may := mayDo(s.TLP); may != "" {
		line += " " + may
	}
	if s.PAP != "" {
		line += "   PAP:" + strings.ToUpper(clean(s.PAP))
	}
	if s.KeepWeeks > 0 {
		line += fmt.Sprintf("   kept %s", plural(s.KeepWeeks, "week", "weeks"))
	}
	if s.Action != "" {
		line += "   action: " + clean(s.Action)
	}
	gopts.previewf("%s", line)
}

func sayShare(gopts *GlobalOptions, s *api.Share) {
	total := 0
	for _, n := range s.Found {
		total += n
	}
	held := fmt.Sprintf("held by %d of %d", s.HeldBy.Have, s.HeldBy.Of)
	switch {
	case s.New > 0:
	case s.Refused:
		gopts.sayf("Shared nothing: what is new in it was left out.")
		return
	case s.Ref == "":
		gopts.sayf("Shared nothing: there is nothing in it to pass on.")
		return
	default:
		gopts.sayf("Shared nothing new: all of it is in %s   %s", clean(s.Ref), held)
		sayTimedOut(gopts, s)
		return
	}
	line := fmt.Sprintf("Shared %s as %s   on disk in %s", grouped(total), clean(s.Ref), lasting(time.Duration(s.DiskS*float64(time.Second))))
	line += "   " + held
	if s.HeldBy.Have > 0 {
		line += " after " + lasting(time.Duration(s.TookS*float64(time.Second)))
	}
	gopts.sayf("%s", line)
	sayTimedOut(gopts, s)
}

func sayTimedOut(gopts *GlobalOptions, s *api.Share) {
	if s.TimedOut {
		gopts.notef("The wait was too short; the share is on disk and goes out by itself.")
	}
}

// sortedByCount gives the keys of a count, the largest first.
func sortedByCount[N int | uint64](m map[string]N) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if m[a] != m[b] {
			if m[a] > m[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return keys
}
