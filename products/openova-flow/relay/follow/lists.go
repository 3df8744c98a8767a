package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// maxList is the maximum number of bytes that are read of an answer.
const maxList = 64 << 20

// MaxRevisions is how many revisions of a flow are read, the newest.
const MaxRevisions = 200

// ErrNoFlow is the error of a list of a flow that does not exist.
var ErrNoFlow = errors.New("the flow does not exist")

// Rollouts returns the rollouts of a flow, newest first.
func (s *Server) Rollouts(ctx context.Context, flowID string) ([]rollout.Rollout, error) {
	var answer struct{ Rollouts []rollout.Rollout }
	err := s.list(ctx, flowID, "rollouts", &answer)
	return answer.Rollouts, err
}

// Revisions returns the newest revisions of a flow.
func (s *Server) Revisions(ctx context.Context, flowID string) ([]revision.Revision, error) {
	var answer struct{ Revisions []revision.Revision }
	err := s.list(ctx, flowID, "revisions?limit="+strconv.Itoa(MaxRevisions), &answer)
	return answer.Revisions, err
}

func (s *Server) list(ctx context.Context, flowID, what string, into any) error {
	name, _, _ := strings.Cut(what, "?")
	failed := func(err error) error { return fmt.Errorf("read the %s of flow %s: %w", name, flowID, err) }
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := s.request(ctx, "/v1/flows/"+url.PathEscape(flowID)+"/"+what)
	if err != nil {
		return failed(err)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return failed(s.plain(ctx, err))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return ErrNoFlow
	default:
		return failed(refused(resp))
	}
	body := &io.LimitedReader{R: resp.Body, N: maxList}
	if err := json.NewDecoder(body).Decode(into); err != nil {
		if body.N == 0 {
			err = fmt.Errorf("the answer is longer than the limit of %d MiB", maxList>>20)
		}
		return failed(err)
	}
	return nil
}
