// How the search orders what it finds. A heading that is the question comes first: the troubleshooting page has a
// heading for each symptom. The changelog, which has every word, comes last.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: ([page, , , , found, , kind]) => found + (kind === "title" ? 100 : 0) - (page === "changelog" ? 50 : 0),
};
