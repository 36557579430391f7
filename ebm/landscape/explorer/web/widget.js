// The two ways in: an element of a page, or a widget in a notebook.

import { Explorer } from "./explorer.js";

/** Build the explorer in an element; `address` keeps the state in the page's address. */
export function explore(root, page, { address = false, changed = () => {} } = {}) {
  root.explorer?.close();
  root.explorer = new Explorer(root, page, { address, changed });
  return root.explorer;
}

/** Show the explorer in a notebook, as anywidget asks for it. */
function render({ model, el }) {
  const page = JSON.parse(model.get("page"));
  const changed = (text) => {
    model.set("state", text);
    model.save_changes();
  };
  const explorer = explore(el, page, { changed });
  explorer.restore(model.get("state"));
  const listen = () => explorer.restore(model.get("state"));
  model.on("change:state", listen);
  return () => {
    model.off("change:state", listen);
    explorer.close();
  };
}

export default { render };
