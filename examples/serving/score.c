/* Scores raw features with an exported SavedModel, without Python.

   D=$(python -c "import tensorflow, os; print(os.path.dirname(tensorflow.__file__))")
   gcc -I$D/include score.c $D/libtensorflow_cc.so.2 $D/libtensorflow_framework.so.2 \
       -Wl,-rpath,$D -o score
   ./score served/frappe/1 request.txt

   request.py writes request.txt from rows of a CSV file. Its first line is the tensor of the output;
   for each input follow a line "tensor dtype rows" and a value per line. model_card.json names the
   tensors:

   StatefulPartitionedCall_3:1
   serving_default_user:0 string 2
   ann
   bob
   serving_default_price:0 float32 2
   9.5
   nan

   It prints a score per line. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { MOST_INPUTS = 1000, LONGEST = 65536 };

static void fail(const char *what, const char *message) {
  fprintf(stderr, "error: %s: %s\n", what, message);
  exit(1);
}

static void check(const char *what, TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* "name:2" is output 2 of the operation "name". */
static TF_Output find(TF_Graph *graph, char *tensor) {
  TF_Output found = {NULL, 0};
  char *colon = strrchr(tensor, ':');
  if (colon != NULL) {
    *colon = '\0';
    found.index = atoi(colon + 1);
  }
  found.oper = TF_GraphOperationByName(graph, tensor);
  if (found.oper == NULL) fail(tensor, "no such tensor");
  return found;
}

static char *read_line(FILE *file, char *line) {
  if (fgets(line, LONGEST, file) == NULL) return NULL;
  line[strcspn(line, "\n")] = '\0';
  return line;
}

static TF_Tensor *read_values(FILE *file, const char *dtype, int64_t rows) {
  char line[LONGEST];
  int is_text = strcmp(dtype, "string") == 0;
  if (!is_text && strcmp(dtype, "float32") != 0) fail(dtype, "use string or float32");
  size_t width = is_text ? sizeof(TF_TString) : sizeof(float);
  TF_Tensor *tensor =
      TF_AllocateTensor(is_text ? TF_STRING : TF_FLOAT, &rows, 1, (size_t)rows * width);
  void *values = TF_TensorData(tensor);
  for (int64_t row = 0; row < rows; row++) {
    if (read_line(file, line) == NULL) fail("request", "too few values");
    if (is_text) {
      TF_TString *text = (TF_TString *)values + row;
      TF_TString_Init(text);
      TF_TString_Copy(text, line, strlen(line));
    } else {
      char *end;
      ((float *)values)[row] = strtof(line, &end);
      if (end == line || *end != '\0') fail(line, "not a number");
    }
  }
  return tensor;
}

int main(int count, char **arguments) {
  if (count != 3) fail("usage", "score SAVED_MODEL REQUEST");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph,
                                                     NULL, status);
  check("load", status);

  FILE *file = fopen(arguments[2], "r");
  if (file == NULL) fail(arguments[2], "cannot be read");
  char line[LONGEST], name[LONGEST], dtype[32];
  if (read_line(file, line) == NULL) fail("request", "no output");
  TF_Output output = find(graph, line);
  TF_Output inputs[MOST_INPUTS];
  TF_Tensor *values[MOST_INPUTS];
  int number = 0;
  while (number < MOST_INPUTS && read_line(file, line) != NULL) {
    long long rows;
    if (sscanf(line, "%s %31s %lld", name, dtype, &rows) != 3 || rows < 0)
      fail(line, "not 'name dtype rows'");
    inputs[number] = find(graph, name);
    values[number++] = read_values(file, dtype, rows);
  }
  fclose(file);

  TF_Tensor *result = NULL;
  TF_SessionRun(session, NULL, inputs, values, number, &output, &result, 1, NULL, 0, NULL, status);
  check("run", status);
  const float *scores = TF_TensorData(result);
  int64_t rows = TF_Dim(result, 0);
  for (int64_t row = 0; row < rows; row++) printf("%.9g\n", scores[row]);

  TF_DeleteTensor(result);
  for (int i = 0; i < number; i++) TF_DeleteTensor(values[i]);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
