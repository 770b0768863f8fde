// Cuts a caption into words as the network has them, and finds those that are still the network's.

const WORD = /n['’]t\b|['’](?:s|m|d|re|ve|ll)\b|[\p{L}\p{N}]+?(?=n['’]t\b)|[\p{L}\p{M}\p{N}]+(?:[-.][\p{L}\p{N}]+)*/giu;

/** The words of a text, each with its place: { text, start, end }. */
export function cut(text) {
  return [...text.matchAll(WORD)].map((found) => ({ text: found[0], start: found.index, end: found.index + found[0].length }));
}

/** For each word the index of the network's word that it still is, or -1: the longest common subsequence. */
export function aligned(words, tokens) {
  const [ours, theirs] = [words.map(({ text }) => plain(text)), tokens.map(plain)];
  const common = Array.from({ length: ours.length + 1 }, () => new Array(theirs.length + 1).fill(0));
  for (let i = ours.length - 1; i >= 0; i--) {
    for (let j = theirs.length - 1; j >= 0; j--) {
      common[i][j] = ours[i] === theirs[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const matches = [];
  let j = 0;
  for (let i = 0; i < ours.length; i++) {
    while (j < theirs.length && ours[i] !== theirs[j] && common[i][j + 1] === common[i][j]) j++;
    matches.push(j < theirs.length && ours[i] === theirs[j] ? j++ : -1);
  }
  return matches;
}

/** A word in place of another one, with its capital where that one had one. */
export function inPlaceOf(old, word) {
  return old[0] === old[0].toLowerCase() ? word : word[0].toUpperCase() + word.slice(1);
}

function plain(word) {
  return word.toLowerCase().replaceAll("’", "'");
}
