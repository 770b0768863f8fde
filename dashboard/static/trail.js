// The way that this session took through the photos of a collection, whatever the filters on it were.

const LONGEST = 500; // photos

/** The trail of one collection; it lasts as long as the tab. */
export function trailOf(collection) {
  const key = `recaption.trail.${document.body.dataset.user}.${collection}`;
  const trail = JSON.parse(sessionStorage.getItem(key) ?? '{"steps":[],"at":-1,"decisions":[]}');

  const keep = () => sessionStorage.setItem(key, JSON.stringify(trail));

  return {
    /** Note that a photo is shown: the present one, the one that the trail goes on with, or a new end of it. */
    visit(id, url) {
      if (trail.steps[trail.at]?.id === id) return;
      if (trail.steps[trail.at + 1]?.id === id) trail.at += 1;
      else if (trail.steps[trail.at - 1]?.id === id) trail.at -= 1;
      else {
        trail.steps = [...trail.steps.filter((step) => step.id !== id), { id, url }].slice(-LONGEST);
        trail.at = trail.steps.length - 1;
      }
      keep();
    },
    /** The photo before the present one, or behind it, on the trail: { id, url }. */
    before: () => trail.steps[trail.at - 1],
    behind: () => trail.steps[trail.at + 1],
    /** Note a decision: { key, photo, text } to repeat its text, { undo: { url, json } } to take it back. */
    decide(decision) {
      trail.decisions = [...trail.decisions, decision].slice(-LONGEST);
      keep();
    },
    /** Note what the server made of a decision: { id, undo }. */
    settle(key, made) {
      Object.assign(trail.decisions.find((decision) => decision.key === key) ?? {}, made);
      keep();
    },
    lastDecision: () => trail.decisions.at(-1),
    lastText: () => trail.decisions.findLast((decision) => decision.text)?.text,
    /** Take the last decision off the trail, and earlier ones on the same caption: its history knows those. */
    takeBack() {
      const last = trail.decisions.pop();
      trail.decisions = trail.decisions.filter(({ id }) => id === undefined || id !== last.id);
      keep();
      return last;
    },
    /** Forget a decision that the server refused. */
    forget(key) {
      trail.decisions = trail.decisions.filter((decision) => decision.key !== key);
      keep();
    },
    /** Take a photo that is gone off the trail. */
    remove(id) {
      trail.steps = trail.steps.filter((step) => step.id !== id);
      trail.at = Math.min(trail.at, trail.steps.length - 1);
      keep();
    },
  };
}
