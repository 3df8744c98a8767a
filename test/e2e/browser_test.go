package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/openova-io/openova/test/e2e/plane"
)

// inBrowser starts a script that opens a page of the flow in Chromium, and returns when the script has printed "ready". Another goroutine calls read with each
// later line. At the end of the test the script must succeed.
func (s *stage) inBrowser(read func(line string), script string, args ...string) {
	s.t.Helper()
	cmd := exec.Command("node", append([]string{script, "http://" + s.addr, flowID}, args...)...)
	in, err := cmd.StdinPipe()
	s.must(err)
	out, err := cmd.StdoutPipe()
	s.must(err)
	log, err := os.Create(filepath.Join(s.dir, filepath.Base(script)+".log"))
	s.must(err)
	defer log.Close()
	cmd.Stderr = log
	s.must(cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	began, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines.Scan() && lines.Text() != "ready" {
		}
		began <- lines.Text() == "ready"
		for lines.Scan() {
			read(lines.Text())
		}
	}()
	s.t.Cleanup(func() {
		_ = in.Close()
		<-ended
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("%s: %v, see %s", script, err, log.Name())
		}
	})
	if !<-began {
		s.t.Fatalf("%s is not ready, see %s", script, log.Name())
	}
}

// revisionsPage is what a page in Chromium shows of the revisions.
type revisionsPage struct {
	stage *stage

	mu   sync.Mutex
	rows []string // the first is the header
}

var took = regexp.MustCompile(`^(done in) .+`)

func (s *stage) openRevisions() *revisionsPage {
	s.t.Helper()
	p := &revisionsPage{stage: s}
	s.inBrowser(func(line string) {
		var texts [][]string
		if err := json.Unmarshal([]byte(line), &texts); err != nil {
			texts = [][]string{{line}}
		}
		var rows []string
		for _, row := range texts {
			for i := range row {
				row[i] = took.ReplaceAllString(row[i], "$1 T")
			}
			rows = append(rows, strings.Join(row, " | "))
		}
		p.mu.Lock()
		p.rows = rows
		p.mu.Unlock()
	}, "revisions.mjs")
	return p
}

// shows waits until the page shows these revisions first, the newest first: the revision, the one that superseded it, and the text for each region, with T in
// place of a duration.
func (p *revisionsPage) shows(want ...string) {
	p.stage.t.Helper()
	want = append([]string{"Revision | fsn1 | hel1"}, want...)
	p.stage.must(plane.Wait(p.stage.ctx, soon, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if got := p.rows[:min(len(want), len(p.rows))]; !slices.Equal(got, want) {
			return fmt.Errorf("the page shows %q, want %q", got, want)
		}
		return nil
	}))
}
