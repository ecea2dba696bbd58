// An answer of any kind shows that the way through the tunnel is open.
fetch(process.env.ACTIONS_RESULTS_URL).then(
  () => console.log("results service: reachable"),
  (error) => console.log(`results service: ${error.cause ?? error}`),
);
