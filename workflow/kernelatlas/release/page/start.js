/* Chooses the theme before anything is painted: as it was left, or as the system has it. */
(() => {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  let chosen = 'system';
  try {
    chosen = localStorage.getItem('kernel-atlas-theme') ?? 'system';
  } catch {
    // Storage is not allowed: the system's theme it is.
  }

  const apply = () => {
    const theme = chosen === 'system' ? (dark.matches ? 'dark' : 'light') : chosen;
    document.documentElement.dataset.theme = theme;
  };
  apply();
  dark.addEventListener('change', apply);

  document.addEventListener('DOMContentLoaded', () => {
    const select = document.getElementById('theme');
    select.value = chosen;
    select.addEventListener('change', () => {
      chosen = select.value;
      apply();
      try {
        localStorage.setItem('kernel-atlas-theme', chosen);
      } catch {
        // It lasts as long as this page.
      }
    });
  });
})();
