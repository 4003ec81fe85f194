// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/acnodal/epic/pkg/cli/clitest"
)

// tool returns a program whose root command has flags by groups, with a command and
// a command below that.
func tool() *cobra.Command {
	run := func(*cobra.Command, []string) error { return nil }
	root := &cobra.Command{Use: "tool", Short: "Do a thing", Long: "Do a thing, at length.", Example: "  tool --one=1", RunE: run}
	groups := cliflag.NamedFlagSets{}
	groups.FlagSet("first").String("one", "", "The first `NUMBER`")
	groups.FlagSet("second").Int("two", 2, "The second")
	sub := &cobra.Command{Use: "sub FILE", Short: "Do less", Example: "  tool sub x", RunE: run}
	sub.Flags().StringP("file", "f", "-", "A `FILE`")
	sub.Flags().Bool("secret", false, "Not to be seen")
	_ = sub.Flags().MarkHidden("secret")
	below := &cobra.Command{Use: "below", Short: "Do least", Example: "  tool sub below", RunE: run}
	sub.AddCommand(below)
	root.AddCommand(sub, NewVersionCommand("tool", "library 1.0"))
	Prepare(root, FlagGroups{root: groups})
	return root
}

func TestHelpOfEachCommand(t *testing.T) {
	clitest.CheckHelp(t, tool())
}

func TestHelpText(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, `Do a thing, at length.

Usage:
  tool [flags]
  tool COMMAND [flags]

Examples:
  tool --one=1

Commands:
  sub      Do less
  version  Print the version

First:
  --one NUMBER  The first NUMBER

Second:
  --two INT  The second (2)

Other:
  -h, --help  Show this
`},
		{[]string{"sub"}, `Do less.

Usage:
  tool sub FILE [flags]
  tool sub COMMAND [flags]

Examples:
  tool sub x

Commands:
  below  Do least

Flags:
  -f, --file FILE  A FILE (-)

Other:
  -h, --help  Show this
`},
		{[]string{"sub", "below"}, `Do least.

Usage:
  tool sub below [flags]

Examples:
  tool sub below

Other:
  -h, --help  Show this
`},
	} {
		var out bytes.Buffer
		root := tool()
		root.SetOut(&out)
		root.SetArgs(append(test.args, "--help"))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		if out.String() != test.want {
			t.Errorf("%v: got\n%s\nwant\n%s", test.args, &out, test.want)
		}
	}
}

// The command that cobra adds by itself does not show the root's flags either.
func TestHelpOfCompletion(t *testing.T) {
	var out bytes.Buffer
	root := tool()
	root.SetOut(&out)
	root.SetArgs([]string{"completion", "bash", "--help"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "--one") || !strings.Contains(out.String(), "tool completion bash") || !strings.Contains(out.String(), "--no-descriptions") {
		t.Errorf("completion bash --help:\n%s", &out)
	}
}

// A mistake is reported in one line that names the help of the command in question,
// however deep that is.
func TestMistakes(t *testing.T) {
	for want, args := range map[string][]string{
		`unknown flag: --none; "tool --help" lists the flags`:           {"--none"},
		`unknown flag: --none; "tool sub --help" lists the flags`:       {"sub", "--none"},
		`unknown flag: --none; "tool sub below --help" lists the flags`: {"sub", "below", "--none"},
	} {
		var out, errs bytes.Buffer
		if code := Run(t.Context(), tool(), args, &out, &errs); code != 1 || out.Len() > 0 || errs.String() != "tool: "+want+"\n" {
			t.Errorf("%v: %d, %q, %q", args, code, &out, &errs)
		}
	}
	var out, errs bytes.Buffer
	if code := Run(t.Context(), tool(), []string{"version"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "library 1.0\n") {
		t.Errorf("version: %d, %q, %q", code, &out, &errs)
	}
}
