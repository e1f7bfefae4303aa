// The page that stands in for one that is still being made: it asks until that is ready, then shows it.

const begun = performance.now(), waited = document.getElementById("waited");
const look = async () => {
  waited.textContent = `${Math.round((performance.now() - begun) / 1000)} s`;
  const answer = await fetch("/desk/review/ready").catch(() => null);
  // whoever was signed out meanwhile is led to the entrance
  if (answer && (!answer.ok && answer.status < 500 || (await answer.json().catch(() => ({}))).is_ready)) return location.reload();
  setTimeout(look, 500);
};
look();
