package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/node"
)

type versionJSON struct {
	Kind     string `json:"kind"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand(gopts *GlobalOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which tipmesh this is",
		Example: example("tipmesh version"),
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return runVersion(gopts) },
	}
}

func runVersion(gopts *GlobalOptions) error {
	v := versionJSON{Kind: "version", Version: node.Agent, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	if gopts.JSON {
		return gopts.print(v)
	}
	gopts.sayf("%s  %s  %s", v.Version, v.Go, v.Platform)
	return nil
}
