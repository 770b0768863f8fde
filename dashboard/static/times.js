// Times come from the server in UTC; people read them in their own zone.

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Write the times below `root` as people here read them. */
export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = format.format(new Date(time.getAttribute("datetime")));
  }
}

localise(document);
