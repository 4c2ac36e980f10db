// A report: one run, from the data in this file.

const embedded = JSON.parse(document.getElementById("data").textContent);
const reportKinds = [...new Set(embedded.rows.map((row) => row[2]))].sort();
const reportPlace = h("div", { class: "place" });
fill(document.getElementById("app"), h("header", { class: "top" }, h("span", { class: "brand" }, "Sojourn"), h("span", { class: "note" }, "a report of one run; this file needs no server")), h("main", { id: "main" }, reportPlace));
runPage(reportPlace, { source: new EmbeddedRun(embedded), kinds: reportKinds }).catch((error) => fill(reportPlace, h("p", { class: "problem" }, error.message)));
