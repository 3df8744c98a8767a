/** What of the page is open. Belongs to this tab, not to a link. */
class Ui {
  side = $state(matchMedia("(min-width: 861px)").matches);
  help = $state(false);
  /** Grows each time that somebody asks to play or pause. */
  play = $state(0);
}

export const ui = new Ui();
