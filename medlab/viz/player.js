async function (identity) {
  const root = document.getElementById(identity);
  if (!root || root.dataset.ready) return;
  root.dataset.ready = "yes";
  const frame = root.querySelector(".medlab-frame");
  const sliders = [...root.querySelectorAll("input[type=range]")];
  const spoken = root.querySelector(".medlab-alt");
  let frames = null;
  async function unpack() {
    const packed = atob(root.querySelector(".medlab-frames").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }
  async function update() {
    let at = 0;
    for (const slider of sliders) {
      at = at * (Number(slider.max) + 1) + Number(slider.value);
      const text = JSON.parse(slider.dataset.values)[slider.value];
      slider.setAttribute("aria-valuetext", text);
      slider.nextElementSibling.textContent = text;
    }
    frames = frames || unpack();
    const [pictures, texts] = await frames;
    frame.innerHTML = pictures[at];
    spoken.textContent = texts[at];
  }
  for (const slider of sliders) slider.addEventListener("input", update);
}
