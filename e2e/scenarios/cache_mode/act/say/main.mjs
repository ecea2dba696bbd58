console.log(`mode: ${process.env.ACTIONS_CACHE_MODE}`);
