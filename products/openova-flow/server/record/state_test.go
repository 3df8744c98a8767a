package record_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

func TestReadState_FailedReadOfLastLineIsNotDamage(t *testing.T) {
	var file bytes.Buffer
	if err := record.NewStateWriter(&file).Close(0); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("read error")
	_, err := record.ReadState(io.MultiReader(bytes.NewReader(file.Bytes()[:file.Len()-1]), iotest.ErrReader(failure)))
	if !errors.Is(err, failure) || err.Error() != "line 3: "+failure.Error() {
		t.Errorf("%v, want only %v", err, failure)
	}
}
