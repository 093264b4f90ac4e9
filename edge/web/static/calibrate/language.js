/** The calibration page's own words, beside those that both pages share. */

import en from "../lib/en-calibrate.js";
import { addWords } from "../lib/i18n.js";
import ko from "../lib/ko-calibrate.js";

addWords({ ko, en });
