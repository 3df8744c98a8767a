// Package github reports revisions to GitHub: a commit status for the revision, and deployments, with the region as environment. It reports only to
// repositories in the configuration: none is taken from a flow.
package github

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v84/github"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const (
	// DefaultContext is the context of commit statuses.
	DefaultContext = "openova-flow"
	// maxDescription is GitHub's limit for descriptions of statuses, in characters. A text is cut to this number of bytes, which never has more
	// characters.
	maxDescription = 140
	// deploymentTask is the task of the relay's deployments.
	deploymentTask = "openova-flow"
)

// Repository is a repository to which the relay may report, and the sources that come from it.
type Repository struct {
	Name    string // owner/name
	Sources []string
}

// Sender is a channel.Sender.
type Sender struct {
	API          string // base URL; default: that of github.com
	Token        channel.Secret
	Context      string // of the commit statuses; default DefaultContext
	Repositories []Repository
	Client       *http.Client
}

// report is what the relay has reported of a revision. It is the channel.Memory of a subject.
type report struct {
	Status      string               `json:"status"` // state and description of the commit status
	Deployments map[string]*deployed `json:"deployments"`
}

// deployed is the deployment of a region.
type deployed struct {
	ID    int64  `json:"id"`
	State string `json:"state"` // the last reported state
}

// Takes implements channel.Chooser.
func (s *Sender) Takes(kind notice.Kind) bool { return kind == notice.KindRevision }

// Send implements channel.Sender. It ignores notices of other kinds and of other repositories.
func (s *Sender) Send(ctx context.Context, d channel.Delivery, m channel.Memory) error {
	n := &d.Notice
	if !s.Takes(n.Kind) || n.Revision == nil {
		return nil
	}
	owner, repo, ok := s.repository(n.Revision.Source)
	if !ok {
		return nil
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	var reported report
	if kept := m.Get(); len(kept) > 0 {
		if err := json.Unmarshal(kept, &reported); err != nil {
			return &channel.Permanent{Err: fmt.Errorf("read the earlier report: %w", err)}
		}
	}
	if reported.Deployments == nil {
		reported.Deployments = make(map[string]*deployed)
	}
	a := &attempt{Sender: s, client: client, owner: owner, repo: repo, n: n, reported: &reported, keep: func() error {
		text, err := json.Marshal(&reported)
		if err != nil {
			return err
		}
		return m.Set(text)
	}}
	if err := a.status(ctx); err != nil {
		return classify(err)
	}
	for _, region := range slices.Sorted(maps.Keys(n.Revision.Results)) {
		if err := a.deployment(ctx, region, n.Revision.Results[region]); err != nil {
			return classify(err)
		}
	}
	return nil
}

// repository returns the repository that a source comes from, if it is in the configuration.
func (s *Sender) repository(source string) (owner, repo string, ok bool) {
	for _, r := range s.Repositories {
		if slices.ContainsFunc(r.Sources, func(own string) bool { return address(own) == address(source) }) {
			return strings.Cut(r.Name, "/")
		}
	}
	return "", "", false
}

// address normalizes a URL, so that usual spellings of one URL are equal. The scheme is kept: ssh and https may be different hosts.
func address(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return text
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimSuffix(strings.TrimSuffix(u.EscapedPath(), "/"), ".git")
}

func (s *Sender) client() (*github.Client, error) {
	token, err := s.Token.Read()
	if err != nil {
		return nil, err
	}
	client := github.NewClient(s.Client).WithAuthToken(token)
	if s.API != "" {
		if client.BaseURL, err = url.Parse(strings.TrimSuffix(s.API, "/") + "/"); err != nil {
			return nil, &channel.Permanent{Err: err}
		}
	}
	return client, nil
}

// attempt is one call of Send.
type attempt struct {
	*Sender
	client      *github.Client
	owner, repo string
	n           *notice.Notice
	reported    *report
	keep        func() error // stores reported
}

// states has, for each result, GitHub's states of the commit status and of the deployment.
var states = map[string]struct{ status, deployment string }{
	insight.Passed: {"success", "success"}, insight.Failed: {"failure", "failure"}, insight.Pending: {"pending", "in_progress"}, notice.Unknown: {"error", inactive},
}

const inactive = "inactive"

func (a *attempt) status(ctx context.Context) error {
	worst := a.n.Revision.Worst()
	state, description := states[worst.Result].status, describe(worst)
	if a.reported.Status == state+" "+description {
		return nil
	}
	statusContext := cmp.Or(a.Context, DefaultContext)
	if a.reported.Status == "" { // an attempt whose answer was lost, or an earlier relay, may have reported the same
		all, _, err := a.client.Repositories.ListStatuses(ctx, a.owner, a.repo, a.n.Revision.Commit, &github.ListOptions{PerPage: 100})
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(s *github.RepoStatus) bool { return s.GetContext() == statusContext }) // newest first
		if at >= 0 && all[at].GetState() == state && all[at].GetDescription() == description {
			a.reported.Status = state + " " + description
			return a.keep()
		}
	}
	status := github.RepoStatus{State: &state, Description: &description, Context: &statusContext}
	if a.n.Link != "" {
		status.TargetURL = &a.n.Link
	}
	if _, _, err := a.client.Repositories.CreateStatus(ctx, a.owner, a.repo, a.n.Revision.Commit, status); err != nil {
		return err
	}
	a.reported.Status = state + " " + description
	return a.keep()
}

func describe(r notice.Result) string {
	if r.Sentence != "" {
		return terminal.Text(r.Sentence, maxDescription)
	}
	text := descriptions[r.Result]
	if r.OvertakenBy != "" {
		text += " as part of " + r.OvertakenBy[:12]
	}
	return text
}

// descriptions are for results without a sentence.
var descriptions = map[string]string{
	insight.Passed: "Deployed and ready", insight.Failed: "Deployment failed", insight.Pending: "Deployment in progress", notice.Unknown: "Deployment state unknown",
}

func (a *attempt) deployment(ctx context.Context, region string, r notice.Result) error {
	state := states[r.Result].deployment
	if r.OvertakenBy != "" {
		state = inactive
	}
	d := a.reported.Deployments[region]
	if d == nil {
		id, err := a.find(ctx, region)
		if err == nil && id == 0 {
			if state == inactive {
				return nil
			}
			id, err = a.create(ctx, region)
		}
		if err != nil {
			return err
		}
		d = &deployed{ID: id}
		if newest, _, err := a.client.Repositories.ListDeploymentStatuses(ctx, a.owner, a.repo, id, &github.ListOptions{PerPage: 1}); err != nil {
			return err
		} else if len(newest) > 0 {
			d.State = newest[0].GetState()
		}
		a.reported.Deployments[region] = d
		if err := a.keep(); err != nil {
			return err
		}
	}
	if d.State == state {
		return nil
	}
	description := describe(r)
	request := &github.DeploymentStatusRequest{State: &state, Description: &description, Environment: &region}
	if a.n.Link != "" {
		request.LogURL = &a.n.Link
	}
	if _, _, err := a.client.Repositories.CreateDeploymentStatus(ctx, a.owner, a.repo, d.ID, request); err != nil {
		return err
	}
	d.State = state
	return a.keep()
}

// find returns the id of the newest deployment that a relay has created for the commit in a region, 0 if there is none.
func (a *attempt) find(ctx context.Context, region string) (int64, error) {
	all, _, err := a.client.Repositories.ListDeployments(ctx, a.owner, a.repo, &github.DeploymentsListOptions{SHA: a.n.Revision.Commit, Task: deploymentTask, Environment: region})
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[0].GetID(), nil
}

func (a *attempt) create(ctx context.Context, region string) (int64, error) {
	autoMerge, task, noContexts, description := false, deploymentTask, []string{}, "Flow "+terminal.Text(strings.Join(a.n.Flows, ", "), 100)
	d, _, err := a.client.Repositories.CreateDeployment(ctx, a.owner, a.repo, &github.DeploymentRequest{
		Ref: &a.n.Revision.Commit, Task: &task, AutoMerge: &autoMerge, RequiredContexts: &noContexts, Environment: &region, Description: &description})
	if err != nil {
		return 0, err
	}
	return d.GetID(), nil
}

func classify(err error) error {
	var limit *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var answer *github.ErrorResponse
	switch {
	case errors.As(err, &limit):
		return &channel.Busy{After: max(time.Second, time.Until(limit.Rate.Reset.Time)), Err: errors.New("github: rate limit reached")}
	case errors.As(err, &abuse):
		return &channel.Busy{After: max(time.Minute, abuse.GetRetryAfter()), Err: errors.New("github: secondary rate limit reached")}
	case errors.As(err, &answer) && answer.Response != nil:
		return channel.Classify(answer.Response, fmt.Errorf("github answers %s: %s", terminal.Text(answer.Response.Status, 64), terminal.Text(answer.Message, 300)))
	}
	if u := new(url.Error); errors.As(err, &u) {
		return fmt.Errorf("github: %w", u.Err)
	}
	return err
}
